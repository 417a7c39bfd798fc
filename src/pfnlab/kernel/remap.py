"""Filling VMAs: remap_pfn_range() and vmf_insert_pfn*().

Drawn after mm/memory.c and mm/huge_memory.c.
"""

from pfnlab.engine.step import violate
from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.fault_codes import (
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    vm_fault_t,
)
from pfnlab.kernel.geometry import (
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_ORDER,
    PTE_ORDER,
    PUD_ORDER,
    Order,
    align_down,
    pmd_addr_end,
)
from pfnlab.kernel.gfp import GFP_PGTABLE_USER, might_alloc
from pfnlab.kernel.pagetable import Leaf, set_leaf, set_ptes
from pfnlab.kernel.pat import (
    pfnmap_setup_cachemode,
    pfnmap_track_ctx_alloc,
    pfnmap_track_ctx_put,
    track_pfn_insert,
    track_pfn_remap,
    untrack_pfn,
)
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import (
    VM_DONTDUMP,
    VM_DONTEXPAND,
    VM_IO,
    VM_MIXEDMAP,
    VM_PFNMAP,
    Vma,
    is_cow_mapping,
    vm_flags_set,
)
from pfnlab.kernel.vmfault import VmFault
from pfnlab.kernel.zap import zap_vma_ptes

REMAP_INTO_NONE = contract(
    "R18",
    "remap_fills_empty_ptes",
    "remap_pfn_range() may only fill PTEs that are none.",
    "mm/memory.c: remap_pte_range(), BUG_ON(!pte_none())",
)
INSERT_INTO_PFNMAP = contract(
    "R15",
    "insert_into_a_pfn_mapping",
    "vmf_insert_pfn*() needs a shared VMA with VM_PFNMAP or VM_MIXEDMAP, and not both.",
    "mm/memory.c: vmf_insert_pfn_prot(), BUG_ON()",
)


def io_remap_pfn_range(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """remap_pfn_range() for device memory; on x86 the same."""
    return remap_pfn_range(vma, addr, pfn, size, prot)


def remap_pfn_range(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """Map [addr, addr + size) to pages from pfn on.

    The size is rounded up to pages.  Needs mmap_lock for write, and is meant for ->mmap: the
    PTEs must be none (R18).  A call for a whole VMA has its memory type reserved.  -EINVAL: the
    type cannot be had; addr is no page's; part of a private writable mapping.
    """
    size = -(-size // PAGE_SIZE) * PAGE_SIZE
    if running_kernel().pat_context:
        return remap_pfn_range_track(vma, addr, pfn, size, prot)
    error, prot = track_pfn_remap(vma, prot, pfn, addr, size)
    if error:
        return -EINVAL
    error = remap_pfn_range_notrack(vma, addr, pfn, size, prot)
    if error:
        untrack_pfn(vma, pfn, size, mm_wr_locked=True)
    return error


def remap_pfn_range_track(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """With the context of v6.16, which a VMA keeps until it is freed."""
    ctx = None
    if addr == vma.vm_start and size == vma.size:
        error, prot, ctx = pfnmap_track_ctx_alloc(vma, prot, pfn, size)
    else:
        error, prot = pfnmap_setup_cachemode(pfn, size)
    if error:
        return error
    error = remap_pfn_range_notrack(vma, addr, pfn, size, prot)
    if ctx is not None:
        if error:
            pfnmap_track_ctx_put(ctx)
        else:
            vma.pfnmap_track_ctx = ctx
    return error


def remap_pfn_range_notrack(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """The range is mapped, or else none of it: what was mapped before an error is zapped.

    Model: also before v6.11, where the caller has to do that.
    """
    error = remap_pfn_range_internal(vma, addr, pfn, size, prot)
    if error:
        zap_vma_ptes(vma, addr, size)
    return error


def remap_pfn_range_internal(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """Check the range, set the flags, fill the PTEs.

    Model: no table runs out of memory, so an error comes before the first PTE.
    """
    if addr % PAGE_SIZE:
        return -EINVAL
    end = addr + size
    if is_cow_mapping(vma.vm_flags):
        if addr != vma.vm_start or end != vma.vm_end:
            return -EINVAL
        vma.vm_pgoff = pfn  # tells a page of the device from a private copy
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
    while addr < end:
        stop = pmd_addr_end(addr, end)
        remap_pte_range(vma, addr, stop, pfn, prot)
        pfn += stop - addr >> PAGE_SHIFT
        addr = stop
    return 0


def remap_pte_range(vma: Vma, addr: int, end: int, pfn: int, prot: str) -> None:
    """Fill a part of one PTE table, under its lock.

    Model: counts as an allocation of the table, as it may not be there.
    """
    might_alloc(GFP_PGTABLE_USER)
    leaves = [
        Leaf(PTE_ORDER, page, pfn + (page - addr >> PAGE_SHIFT), prot)
        for page in range(addr, end, PAGE_SIZE)
    ]
    taken = set_ptes(vma, leaves)
    if taken is not None:
        violate(REMAP_INTO_NONE, f"{taken} is there already.")


def vmf_insert_pfn(vma: Vma, addr: int, pfn: int) -> vm_fault_t:
    """Map one page.  A slot that is taken stays as it is; that is no error: see insert_pfn()."""
    return vmf_insert_pfn_prot(vma, addr, pfn, vma.vm_page_prot)


def vmf_insert_pfn_prot(vma: Vma, addr: int, pfn: int, pgprot: str) -> vm_fault_t:
    """Map one page with a protection of its own; its memory type is still PAT's."""
    if not may_insert(vma, addr):
        return VM_FAULT_SIGBUS
    return insert_pfn(vma, addr, pfn, track_pfn_insert(pgprot, pfn), PTE_ORDER)


def vmf_insert_pfn_pmd(vmf: VmFault, pfn: int, write: bool) -> vm_fault_t:
    """Map the PMD around a fault.  The pfn is trusted to be aligned."""
    vma, addr = vmf.vma, align_down(vmf.address, PAGE_SIZE << PMD_ORDER)
    if not may_insert(vma, addr):
        return VM_FAULT_SIGBUS
    return insert_pfn(vma, addr, pfn, track_pfn_insert(vma.vm_page_prot, pfn), PMD_ORDER)


def vmf_insert_pfn_pud(vmf: VmFault, pfn: int, write: bool) -> vm_fault_t:
    """Map the PUD around a fault.  The pfn is trusted to be aligned."""
    vma, addr = vmf.vma, align_down(vmf.address, PAGE_SIZE << PUD_ORDER)
    if not may_insert(vma, addr):
        return VM_FAULT_SIGBUS
    prot = track_pfn_insert(vma.vm_page_prot, pfn)
    if not running_kernel().pud_cachemode:
        prot = vma.vm_page_prot  # what was looked up is not used
    return insert_pfn(vma, addr, pfn, prot, PUD_ORDER)


def may_insert(vma: Vma, addr: int) -> bool:
    """The checks that the inserters have in common; False is VM_FAULT_SIGBUS."""
    flags = vma.vm_flags & (VM_PFNMAP | VM_MIXEDMAP)
    if flags not in (VM_PFNMAP, VM_MIXEDMAP):
        violate(INSERT_INTO_PFNMAP, f"{vma} has {'both' if flags else 'neither'}.")
    if flags & VM_PFNMAP and is_cow_mapping(vma.vm_flags):
        violate(INSERT_INTO_PFNMAP, f"{vma} is private and writable.")
    return vma.contains(addr)


def insert_pfn(vma: Vma, addr: int, pfn: int, prot: str, order: Order) -> vm_fault_t:
    """A slot that is taken is no error, but a page finds no table where a larger leaf is.

    mm/memory.c: insert_pfn() takes that for a table that could not be allocated.

    Model: tables do not run out of memory; and each call counts as an allocation of one, as
    it may not be there.
    """
    might_alloc(GFP_PGTABLE_USER)
    # A leaf keeps only the bits of the pfn above its order.
    taken = set_leaf(vma, Leaf(order, addr, align_down(pfn, 1 << order), prot))
    if order == PTE_ORDER and isinstance(taken, Leaf) and taken.order > PTE_ORDER:
        return VM_FAULT_OOM
    return VM_FAULT_NOPAGE
