"""Emptying VMAs: zap_vma_ptes() of one, unmap_mapping_range() of all that map a file.

Drawn after mm/memory.c.
"""

from collections.abc import Sequence

from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE
from pfnlab.kernel.locks import i_mmap_lock_read, i_mmap_unlock_read
from pfnlab.kernel.mmu_gather import (
    MmuGather,
    tlb_end_vma,
    tlb_finish_mmu,
    tlb_gather_mmu,
    tlb_start_vma,
)
from pfnlab.kernel.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pfnlab.kernel.pagetable import zap_range
from pfnlab.kernel.pat import untrack_pfn
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.vma import VM_PFNMAP, AddressSpace, Mm, Vma


def zap_vma_ptes(vma: Vma, address: int, size: int) -> None:
    """Remove the leaves of part of a VMA.  Needs mmap_lock (for read is enough).

    In silence it does nothing to a range that leaves the VMA, nor to one without VM_PFNMAP.

    Model: also on v7.3, where zap_special_vma_range() has its place and takes VM_MIXEDMAP, too.
    """
    if address < vma.vm_start or address + size > vma.vm_end or not vma.vm_flags & VM_PFNMAP:
        return
    zap_page_range_single(vma, address, size)


def zap_page_range_single(vma: Vma, address: int, size: int) -> None:
    """Remove the leaves of a range, and return with no CPU that still uses one.

    Who hears of zaps must keep nothing cached by itself: its range ends before the flush.
    """
    end = address + size
    tlb = MmuGather()
    tlb_gather_mmu(tlb, vma.vm_mm)
    mmu_notifier_invalidate_range_start(vma.vm_mm, address, end)
    unmap_single_vma(tlb, vma, address, end)
    mmu_notifier_invalidate_range_end(vma.vm_mm, address, end)
    tlb_finish_mmu(tlb)


def unmap_vmas(tlb: MmuGather, vmas: Sequence[Vma], start: int, end: int) -> None:
    """Empty neighbours in one mm, of which the range may cut off parts.  The caller flushes."""
    mm: Mm = vmas[0].vm_mm
    mmu_notifier_invalidate_range_start(mm, start, end)
    for vma in vmas:
        unmap_single_vma(tlb, vma, start, end)
    mmu_notifier_invalidate_range_end(mm, start, end)


def unmap_single_vma(tlb: MmuGather, vma: Vma, start: int, end: int) -> None:
    start, end = max(start, vma.vm_start), min(end, vma.vm_end)
    if start >= end:
        return
    # Whoever came through i_mmap reads the flags without mmap_lock.
    if not running_kernel().pat_context and vma.vm_flags & VM_PFNMAP:
        untrack_pfn(vma, zapped=(start, end))
    tlb_start_vma(tlb, vma)
    zap_range(tlb, vma, start, end)
    tlb_end_vma(tlb, vma)


def unmap_mapping_range(
    mapping: AddressSpace, holebegin: int, holelen: int, even_cows: bool = True
) -> None:
    """Remove the leaves of part of a file, in every VMA that maps it.

    Offsets in bytes; the length is rounded up to whole pages, and 0 stands for all that follows.
    Finds the VMAs through i_mmap, so it needs no mmap_lock, and sees
    no VMA that is not linked yet.  The flush of the TLBs is over when this returns.
    """
    first = holebegin >> PAGE_SHIFT
    end = first + (holelen + PAGE_SIZE - 1 >> PAGE_SHIFT) if holelen else None
    i_mmap_lock_read(mapping)
    for vma in mapping.i_mmap:
        from_page = max(first, vma.vm_pgoff)
        to_page = vma.vm_pgoff + (vma.size >> PAGE_SHIFT)
        if end is not None:
            to_page = min(to_page, end)
        if from_page < to_page:
            start = vma.vm_start + (from_page - vma.vm_pgoff << PAGE_SHIFT)
            zap_page_range_single(vma, start, to_page - from_page << PAGE_SHIFT)
    i_mmap_unlock_read(mapping)
