"""Emptying VMAs: zap_vma_ptes() of one, unmap_mapping_range() of all that map a file.

Drawn after mm/memory.c.
"""

from pfnlab.kernel.geometry import PAGE_SHIFT
from pfnlab.kernel.locks import i_mmap_lock_read, i_mmap_unlock_read
from pfnlab.kernel.pagetable import zap_range
from pfnlab.kernel.pat import untrack_pfn
from pfnlab.kernel.vma import VM_PFNMAP, AddressSpace, Vma


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
