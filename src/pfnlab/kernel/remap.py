"""Filling and emptying VMAs: remap_pfn_range(), vmf_insert_pfn*() and the zaps.

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
)
from pfnlab.kernel.locks import i_mmap_lock_read, i_mmap_unlock_read
from pfnlab.kernel.pagetable import Leaf, set_leaf, set_ptes, zap_range
from pfnlab.kernel.pat import track_pfn_remap, untrack_pfn
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import (
    VM_DONTDUMP,
    VM_DONTEXPAND,
    VM_IO,
    VM_MIXEDMAP,
    VM_PFNMAP,
    AddressSpace,
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
        stop = min(end, align_down(addr, PAGE_SIZE << PMD_ORDER) + (PAGE_SIZE << PMD_ORDER))
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


def zap_vma_ptes(vma: Vma, address: int, size: int) -> None:
    """Remove the leaves of part of a VMA.  Needs mmap_lock (for read is enough)."""
    unmap_single_vma(vma, address, address + size)


def unmap_single_vma(vma: Vma, start: int, end: int) -> None:
    if vma.vm_flags & VM_PFNMAP:
        untrack_pfn(vma)
    zap_range(vma, max(start, vma.vm_start), min(end, vma.vm_end))


def unmap_mapping_range(
    mapping: AddressSpace, holebegin: int, holelen: int, even_cows: bool = True
) -> None:
    """Remove the leaves of part of a file, in every VMA that maps it.

    Offsets in bytes.  Finds the VMAs through i_mmap, so it needs no mmap_lock, and sees
    no VMA that is not linked yet.  The flush of the TLBs is over when this returns.
    """
    first = holebegin >> PAGE_SHIFT
    last = (holebegin + holelen >> PAGE_SHIFT) - 1
    i_mmap_lock_read(mapping)
    for vma in mapping.i_mmap:
        from_page = max(first, vma.vm_pgoff)
        to_page = min(last, vma.vm_pgoff + (vma.size >> PAGE_SHIFT) - 1)
        if from_page <= to_page:
            start = vma.vm_start + (from_page - vma.vm_pgoff << PAGE_SHIFT)
            unmap_single_vma(vma, start, start + (to_page - from_page + 1 << PAGE_SHIFT))
    i_mmap_unlock_read(mapping)
