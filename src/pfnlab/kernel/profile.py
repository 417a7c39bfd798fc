"""What differs between kernels, as features; releases are plain data.

The model asks for a feature and never for a version.  A profile says what mainline did
at a release; stable branches may differ, as fixes are carried back.
"""

import re
from dataclasses import dataclass, replace

from pfnlab.engine.current import current_execution
from pfnlab.engine.errors import ModelError


@dataclass(frozen=True)
class Kernel:
    """One kernel.

    vm_flags_asserted  the setters of vm_flags assert mmap_lock: bc292ab00f6c ("mm:
                       introduce vma->vm_flags wrapper functions"), v6.3
    open_before_copy   fork calls ->open and links the file before it copies page tables:
                       35e351780fa9 ("fork: defer linking file vma until vma is fully
                       initialized"), v6.9
    per_vma_lock       a fault on a file tries the lock of the VMA first, and mmap_lock
                       after it; anonymous memory had this from v6.4, files from v6.6
    thp_gate           the policy for transparent huge pages decides whether huge_fault is
                       called for a pfn mapping; gone by v7.3
    pud_cachemode      vmf_insert_pfn_pud() uses the memory type that it has looked up:
                       fd3264c65fbb ("mm/huge_memory: don't ignore queried cachemode in
                       vmf_insert_pfn_pud()"), v6.16
    pat_context        PAT tracks a remap by a context that VMAs share and the last one
                       frees, v6.16; before by VM_PAT, which any zap clears
    type1_by_leaf      type1 looks a BAR up leaf by leaf: 0fd06844de5d ("vfio/type1: Use
                       mapping page mask for pfnmaps"), v6.15; before, page by page
    mmap_by_pmd        mmap() puts a file mapping whose length is a multiple of 2 MiB where its
                       address agrees with its offset modulo 2 MiB: ed48e87c7df3; gone with
                       34d7cf637c43 ("mm: don't try THP alignment for FS without
                       get_unmapped_area"), after v6.13.  Measured on v6.12 (yes) and v6.16
                       (no); which release was the first is not known here
    tlb_end_vma_flushes  a zap flushes at the end of each pfn mapping: b67fbebd4cf9
                       ("mmu_gather: Force tlb-flush VM_PFNMAP vmas"), v5.19; the mend of
                       CVE-2022-39188
    tlb_free_vmas_flushes  instead, munmap() flushes before it unlinks pfn mappings: "mmu_gather:
                       move tlb flush for VM_PFNMAP/VM_MIXEDMAP vmas into free_pgtables()",
                       May 2025.  v6.12 is without, v7.3 has it; which release was the
                       first is not known here
    hot_reset_info_in_walk  the devices that a hot reset reaches are copied to user space
                       under pci_bus_sem: lockdep reported it on v6.9-rc5, and v6.10 has
                       the fix of May 2024.  v6.1 copies after the walk; when that changed
                       in between is not known here
    dma_buf            a BAR can be exported as a dma-buf, which a disable revokes, v6.19
    """

    name: str
    vm_flags_asserted: bool = True
    open_before_copy: bool = True
    per_vma_lock: bool = True
    thp_gate: bool = False
    pud_cachemode: bool = True
    pat_context: bool = True
    type1_by_leaf: bool = True
    mmap_by_pmd: bool = False
    tlb_end_vma_flushes: bool = False
    tlb_free_vmas_flushes: bool = True
    hot_reset_info_in_walk: bool = False
    dma_buf: bool = True


V7_3 = Kernel("v7.3")
V6_16 = replace(
    V7_3, name="v6.16", thp_gate=True, tlb_end_vma_flushes=True, tlb_free_vmas_flushes=False,
    dma_buf=False,
)  # fmt: skip
V6_12 = replace(
    V6_16, name="v6.12", pud_cachemode=False, pat_context=False, type1_by_leaf=False,
    mmap_by_pmd=True,
)  # fmt: skip
# Huge entries no longer ask for the THP policy.  Measured on 6.12.117, and 6.12.95 is without.
V6_12_117 = replace(V6_12, name="v6.12.117", thp_gate=False)
V6_10 = replace(V6_12, name="v6.10")
V6_9 = replace(V6_10, name="v6.9", mmap_by_pmd=False, hot_reset_info_in_walk=True)
V6_4 = replace(
    V6_9, name="v6.4", open_before_copy=False, per_vma_lock=False, hot_reset_info_in_walk=False
)
V6_1 = replace(V6_4, name="v6.1", vm_flags_asserted=False)
# 35e351780fa9 was carried back.  Measured on 6.1.192; which release of 6.1 was the first with it
# is not known here.
V6_1_192 = replace(V6_1, name="v6.1.192", open_before_copy=True)
V5_8 = replace(V6_1, name="v5.8", tlb_end_vma_flushes=False)

KERNELS = {
    kernel.name: kernel
    for kernel in (V5_8, V6_1, V6_1_192, V6_4, V6_9, V6_10, V6_12, V6_12_117, V6_16, V7_3)
}
LATEST = "v7.3"


def find_kernel(name: str) -> Kernel:
    """A profile by name, with or without its v; raises ModelError."""
    if not isinstance(name, str):
        raise ModelError(f'a kernel is named by a text, as "v6.9", not by {name!r}')
    found = KERNELS.get(name) or KERNELS.get(f"v{name}")
    if found is None:
        nearest = f" (the nearest is {profile_for(name).name})" if version_order(name) else ""
        raise ModelError(f"no profile is called {name!r}{nearest}; there are {', '.join(KERNELS)}")
    return found


def profile_for(version: str) -> Kernel:
    """The newest profile that is no newer than a version of the kernel's source, as 6.12.95.

    One of a stable release is for later ones of its series alone.
    Only a default: a profile is a list of features, and a distribution may have some earlier.
    """
    wanted = version_order(version)
    ordered = sorted((version_order(kernel.name), kernel.name) for kernel in KERNELS.values())
    fits = [
        name for its, name in ordered if its <= wanted and (len(its) == 2 or its[:2] == wanted[:2])
    ]
    return KERNELS[fits[-1] if fits else ordered[0][1]]


def version_order(version: str) -> tuple[int, ...]:
    """So that 6.9 comes before 6.12; what is no number ends it."""
    numbers = re.match(r"v?(\d+(?:\.\d+)*)", version)
    return tuple(int(number) for number in numbers[1].split(".")) if numbers else ()


def running_kernel() -> Kernel:
    """The profile of the scenario that runs now."""
    kernel = getattr(current_execution().program, "kernel", None)
    assert isinstance(kernel, Kernel), "kernel code runs in a Lab"
    return kernel
