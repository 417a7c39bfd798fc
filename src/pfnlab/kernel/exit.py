"""The end of an address space.  Drawn after mm/mmap.c: exit_mmap()."""

from pfnlab.kernel.locks import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from pfnlab.kernel.mmu_gather import MmuGather, tlb_finish_mmu, tlb_gather_mmu_fullmm
from pfnlab.kernel.munmap import (
    FIRST_USER_ADDRESS,
    USER_PGTABLES_CEILING,
    free_pgtables,
    remove_vma,
    vmas_in,
)
from pfnlab.kernel.vma import Mm
from pfnlab.kernel.zap import unmap_vmas


def exit_mmap(mm: Mm) -> None:
    """Empty an mm that has no user left.  Called by the last mmput(), without locks.

    The zap needs mmap_lock for read only.  Between it and the lock for write nobody may
    add a leaf: the tables are freed next.  Nobody can, who asked mmget_not_zero() first.
    The flush may come last, behind the unlinking: no thread is left that runs in the mm.
    """
    mmap_read_lock(mm)
    vmas = vmas_in(mm, FIRST_USER_ADDRESS, USER_PGTABLES_CEILING)
    tlb = MmuGather()
    tlb_gather_mmu_fullmm(tlb, mm)
    if vmas:
        unmap_vmas(tlb, vmas, FIRST_USER_ADDRESS, USER_PGTABLES_CEILING)
    mmap_read_unlock(mm)
    if not vmas:
        return
    mmap_write_lock(mm)
    free_pgtables(tlb, vmas, FIRST_USER_ADDRESS, USER_PGTABLES_CEILING, mm_wr_locked=True)
    tlb_finish_mmu(tlb)
    for vma in vmas:
        mm.vmas.remove(vma)
        remove_vma(vma)
    mmap_write_unlock(mm)
