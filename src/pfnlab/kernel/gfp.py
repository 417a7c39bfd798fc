"""Allocation of memory: what matters is that it may have to reclaim some first.

Drawn after include/linux/sched/mm.h and mm/page_alloc.c.  As in the kernel, an allocation
tells lockdep that it takes the pseudo lock fs_reclaim, whether memory is short or not.

Model: memory does not run out and nothing is reclaimed, so this makes no step.  Of the flags
there is only what lets reclaim enter a file system.
"""

from pfnlab.engine.execution import running
from pfnlab.engine.lock import Lock
from pfnlab.kernel.lockdep import FS_RECLAIM, Lockdep

gfp_t = int
__GFP_FS, __GFP_DIRECT_RECLAIM = 0x80, 0x400
GFP_NOWAIT = 0
GFP_NOFS = __GFP_DIRECT_RECLAIM
GFP_KERNEL = GFP_NOFS | __GFP_FS
GFP_PGTABLE_USER = GFP_KERNEL

PF_MEMALLOC_NOFS = 0x40000

# It is never held between two steps, so it is no cell of any object.
_FS_RECLAIM_MAP = Lock(FS_RECLAIM, -1, FS_RECLAIM, None)


def might_alloc(gfp_mask: gfp_t) -> None:
    """Memory is allocated here, or could be."""
    fs_reclaim_acquire(gfp_mask)


def fs_reclaim_acquire(gfp_mask: gfp_t) -> None:
    """Reclaim that may enter a file system takes what file systems take; let go at once."""
    gfp_mask = current_gfp_context(gfp_mask)
    if gfp_mask & __GFP_DIRECT_RECLAIM and gfp_mask & __GFP_FS:
        _FS_RECLAIM_MAP.acquiring("fs_reclaim_acquire", "write")


def current_gfp_context(flags: gfp_t) -> gfp_t:
    """The flags without what the running task has ruled out for a while."""
    nofs = _flags_of_tasks().get(running()[1].index, 0) & PF_MEMALLOC_NOFS
    return flags & ~__GFP_FS if nofs else flags


def memalloc_nofs_save() -> int:
    """From here on no allocation of the task enters a file system; returns what was before."""
    flags = _flags_of_tasks()
    task = running()[1].index
    before = flags.get(task, 0)
    flags[task] = before | PF_MEMALLOC_NOFS
    return before


def memalloc_nofs_restore(flags: int) -> None:
    _flags_of_tasks()[running()[1].index] = flags


def _flags_of_tasks() -> dict[int, int]:
    """task->flags, by number.  They are a task's own, so no access is a step."""
    monitors = running()[0].program.monitors
    (lockdep,) = (monitor for monitor in monitors if isinstance(monitor, Lockdep))
    return lockdep.task_flags
