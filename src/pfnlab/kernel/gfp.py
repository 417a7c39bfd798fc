"""Allocation of memory: what matters is that it may have to reclaim some first.

Drawn after include/linux/sched/mm.h and mm/page_alloc.c.  As in the kernel, an allocation
tells lockdep that it takes the pseudo lock fs_reclaim, whether memory is short or not.

Model: memory does not run out and nothing is reclaimed, so this makes no step.  Of the flags
there is only what lets reclaim enter a file system.
"""

from pfnlab.engine.current import running_task
from pfnlab.engine.lock import PseudoLock
from pfnlab.engine.step import might_sleep
from pfnlab.kernel.lockdep import FS_RECLAIM

gfp_t = int
__GFP_FS, __GFP_DIRECT_RECLAIM = 0x80, 0x400
GFP_NOWAIT = 0
GFP_NOFS = __GFP_DIRECT_RECLAIM
GFP_KERNEL = GFP_NOFS | __GFP_FS
GFP_PGTABLE_USER = GFP_KERNEL

PF_MEMALLOC_NOFS = 0x40000

_FS_RECLAIM_MAP = PseudoLock(FS_RECLAIM)


def might_alloc(gfp_mask: gfp_t) -> None:
    """Memory is allocated here, or could be."""
    fs_reclaim_acquire(gfp_mask)
    if gfp_mask & __GFP_DIRECT_RECLAIM:
        might_sleep("alloc_pages")


def fs_reclaim_acquire(gfp_mask: gfp_t) -> None:
    """Reclaim that may enter a file system takes what file systems take; let go at once."""
    gfp_mask = current_gfp_context(gfp_mask)
    if gfp_mask & __GFP_DIRECT_RECLAIM and gfp_mask & __GFP_FS:
        _FS_RECLAIM_MAP.acquiring("fs_reclaim_acquire", "write")


def current_gfp_context(flags: gfp_t) -> gfp_t:
    """The flags without what the running task has ruled out for a while."""
    return flags & ~__GFP_FS if running_task().flags & PF_MEMALLOC_NOFS else flags


def memalloc_nofs_save() -> int:
    """From here on no allocation of the task enters a file system; returns what was before."""
    task = running_task()
    before = task.flags
    task.flags |= PF_MEMALLOC_NOFS
    return before


def memalloc_nofs_restore(flags: int) -> None:
    running_task().flags = flags
