"""Filling VMAs: remap_pfn_range() and vmf_insert_pfn*().

Drawn after mm/memory.c and mm/huge_memory.c.
"""

from pfnlab.engine.step import violate
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.fault_codes import VM_FAULT_NOPAGE, VM_FAULT_SIGBUS, vm_fault_t
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
from pfnlab.kernel.pagetable import Leaf, set_leaf, set_ptes
from pfnlab.kernel.pat import track_pfn_remap
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import (
    VM_DONTDUMP,
    VM_DONTEXPAND,
    VM_IO,
    VM_MIXEDMAP,
    VM_PFNMAP,
    Vma,
    vm_flags_set,
)
from pfnlab.kernel.vmfault import VmFault

REMAP_INTO_NONE = contract(
    "R18",
    "remap_fills_empty_ptes",
    "remap_pfn_range() may only fill PTEs that are none.",
    "mm/memory.c: remap_pte_range(), BUG_ON(!pte_none())",
)
INSERT_INTO_PFNMAP = contract(
    "R15",
    "insert_into_a_pfn_mapping",
    "vmf_insert_pfn*() may only be used on a VMA with VM_PFNMAP or VM_MIXEDMAP, not both.",
    "mm/memory.c: vmf_insert_pfn_prot(), BUG_ON()",
)


def io_remap_pfn_range(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """remap_pfn_range() for device memory; on x86 the same."""
    return remap_pfn_range(vma, addr, pfn, size, prot)


def remap_pfn_range(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    """Map [addr, addr + size) to pages from pfn on.  Needs mmap_lock for write."""
    error = track_pfn_remap(vma, prot, pfn, addr, size)
    if error:
        return error
    return remap_pfn_range_notrack(vma, addr, pfn, size, prot)


def remap_pfn_range_notrack(vma: Vma, addr: int, pfn: int, size: int, prot: str) -> Errno:
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
    end = addr + size
    while addr < end:
        stop = pmd_addr_end(addr, end)
        remap_pte_range(vma, addr, stop, pfn, prot)
        pfn += stop - addr >> PAGE_SHIFT
        addr = stop
    return 0


def remap_pte_range(vma: Vma, addr: int, end: int, pfn: int, prot: str) -> None:
    """Fill a part of one PTE table, under its lock."""
    leaves = [
        Leaf(PTE_ORDER, page, pfn + (page - addr >> PAGE_SHIFT), prot)
        for page in range(addr, end, PAGE_SIZE)
    ]
    taken = set_ptes(vma, leaves)
    if taken is not None:
        violate(REMAP_INTO_NONE, f"{taken} is there already.")


def vmf_insert_pfn(vma: Vma, addr: int, pfn: int) -> vm_fault_t:
    """Map one page.  A slot that is taken stays as it is; that is no error."""
    return _insert(vma, addr, pfn, PTE_ORDER)


def vmf_insert_pfn_pmd(vmf: VmFault, pfn: int, write: bool) -> vm_fault_t:
    """Map the PMD around a fault.  The pfn is trusted to be aligned."""
    return _insert(vmf.vma, align_down(vmf.address, PAGE_SIZE << PMD_ORDER), pfn, PMD_ORDER)


def vmf_insert_pfn_pud(vmf: VmFault, pfn: int, write: bool) -> vm_fault_t:
    """Map the PUD around a fault.  The pfn is trusted to be aligned."""
    return _insert(vmf.vma, align_down(vmf.address, PAGE_SIZE << PUD_ORDER), pfn, PUD_ORDER)


def _insert(vma: Vma, addr: int, pfn: int, order: Order) -> vm_fault_t:
    flags = vma.vm_flags & (VM_PFNMAP | VM_MIXEDMAP)
    if flags not in (VM_PFNMAP, VM_MIXEDMAP):
        violate(INSERT_INTO_PFNMAP, f"{vma} has {'both' if flags else 'neither'}.")
    if not vma.contains(addr):
        return VM_FAULT_SIGBUS
    # A leaf keeps only the bits of the pfn above its order.
    aligned = align_down(pfn, 1 << order)
    set_leaf(vma, Leaf(order, addr, aligned, vma.vm_page_prot))
    return VM_FAULT_NOPAGE
