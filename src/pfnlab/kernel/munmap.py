"""munmap(): VMAs are cut, taken out, emptied and removed, in this order.

Drawn after mm/vma.c: do_vmi_munmap() and below, and mm/memory.c: free_pgtables().
"""

from collections.abc import Sequence

from pfnlab.engine.shared import free
from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.file import fput
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.kernel.locks import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
    return_to_user_space,
)
from pfnlab.kernel.mmu_gather import MmuGather, tlb_finish_mmu, tlb_free_vmas, tlb_gather_mmu
from pfnlab.kernel.pagetable import free_pgd_range
from pfnlab.kernel.pat import vma_pfnmap_track_ctx_release
from pfnlab.kernel.split import split_vma
from pfnlab.kernel.vma import Mm, Vma
from pfnlab.kernel.vma_lock import vma_mark_detached, vma_start_write
from pfnlab.kernel.zap import unmap_vmas

FIRST_USER_ADDRESS = 0
USER_PGTABLES_CEILING = 1 << 47


def munmap(mm: Mm, start: int, length: int) -> Errno:
    """The system call."""
    mmap_write_lock(mm)
    error = do_vmi_munmap(mm, start, length, unlock=True)
    if error:
        mmap_write_unlock(mm)
    return_to_user_space()
    return error


def do_vmi_munmap(mm: Mm, start: int, length: int, unlock: bool) -> Errno:
    """Unmap a range; that nothing is mapped there is no error.  Needs mmap_lock for write.

    With `unlock` the lock has been released when this returns 0: it is downgraded once the
    VMAs are out of the tree, so the zap, ->close and the end of the VMAs run beside faults
    on other VMAs.
    """
    if start % PAGE_SIZE or length <= 0:
        return -EINVAL
    end = start + -(-length // PAGE_SIZE) * PAGE_SIZE
    vmas = vms_gather_munmap_vmas(mm, start, end)
    if not vmas:
        if unlock:
            mmap_write_unlock(mm)
        return 0
    floor, ceiling = gap_around(mm, start, end)
    for vma in vmas:
        mm.vmas.remove(vma)
    if unlock:
        mmap_write_downgrade(mm)
    tlb = MmuGather()
    tlb_gather_mmu(tlb, mm)
    unmap_vmas(tlb, vmas, start, end)
    free_pgtables(tlb, vmas, floor, ceiling, mm_wr_locked=not unlock)
    tlb_finish_mmu(tlb)
    for vma in vmas:
        remove_vma(vma)
    if unlock:
        mmap_read_unlock(mm)
    return 0


def vmas_in(mm: Mm, start: int, end: int) -> list[Vma]:
    """The VMAs that overlap a range, lowest first.  Needs mmap_lock."""
    found: list[Vma] = [vma for vma in mm.vmas if vma.vm_start < end and start < vma.vm_end]
    return sorted(found, key=lambda vma: vma.vm_start)


def gap_around(mm: Mm, start: int, end: int) -> tuple[int, int]:
    """From the end of the VMA below a range to the start of the one above."""
    below = [vma.vm_end for vma in mm.vmas if vma.vm_end <= start]
    above = [vma.vm_start for vma in mm.vmas if vma.vm_start >= end]
    floor: int = max(below, default=FIRST_USER_ADDRESS)
    ceiling: int = min(above, default=USER_PGTABLES_CEILING)
    return floor, ceiling


def vms_gather_munmap_vmas(mm: Mm, start: int, end: int) -> list[Vma]:
    """The VMAs of a range, cut to it at both sides, locked and marked as detached.

    Model: the first cut leaves the old VMA above, as in v6.12; v6.1 leaves it
    below.  Either way both parts are what they were.
    """
    vmas = vmas_in(mm, start, end)
    if vmas and start > vmas[0].vm_start:
        split_vma(vmas[0], start, new_below=True)
    for vma in vmas:
        if vma.vm_end > end:
            split_vma(vma, end, new_below=False)
        vma_start_write(vma)
        vma_mark_detached(vma, True)
    return vmas


def free_pgtables(
    tlb: MmuGather, vmas: Sequence[Vma], floor: int, ceiling: int, mm_wr_locked: bool
) -> None:
    """Unlink VMAs that are empty, then free the tables that nobody else needs.

    Unlinked first, so that no walk of i_mmap reads a table that is being freed.
    """
    tlb_free_vmas(tlb)
    for vma, above in zip(vmas, [*vmas[1:], None], strict=True):
        if mm_wr_locked:
            vma_start_write(vma)
        unlink_file_vma(vma)
        stop = above.vm_start if above is not None else ceiling
        free_pgd_range(tlb.mm, vma.vm_start, vma.vm_end, floor, stop)


def unlink_file_vma(vma: Vma) -> None:
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    mapping.i_mmap.remove(vma)
    i_mmap_unlock_write(mapping)


def remove_vma(vma: Vma) -> None:
    """The end of a VMA: the driver hears of it while the file is still pinned."""
    close = vma.vm_ops.close
    if close is not None:
        close(vma)
    fput(vma.vm_file)
    vma_pfnmap_track_ctx_release(vma)
    free(vma)
