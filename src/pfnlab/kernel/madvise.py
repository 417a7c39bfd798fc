"""madvise(): what of it concerns device memory.  Drawn after mm/madvise.c."""

from pfnlab.engine.errors import ModelError
from pfnlab.kernel.errno import EINVAL, ENOMEM, Errno
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.kernel.locks import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
    return_to_user_space,
)
from pfnlab.kernel.munmap import vmas_in
from pfnlab.kernel.split import vma_modify
from pfnlab.kernel.vma import (
    VM_DONTCOPY,
    VM_DONTDUMP,
    VM_HUGEPAGE,
    VM_IO,
    VM_NOHUGEPAGE,
    VM_PFNMAP,
    VM_SPECIAL,
    Mm,
    Vma,
    vm_flags_reset,
)
from pfnlab.kernel.vma_lock import vma_start_write

MADV_DONTNEED, MADV_FREE = 4, 8
MADV_DONTFORK, MADV_DOFORK = 10, 11
MADV_HUGEPAGE, MADV_NOHUGEPAGE = 14, 15
MADV_DONTDUMP, MADV_DODUMP = 16, 17
MADV_COLD, MADV_PAGEOUT = 20, 21

# Advice about pages that could be had again: with mmap_lock for read, and never here.
RECLAIM = (MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT)
# Advice that is kept in vm_flags: what it sets, and what it clears.
FLAGS = {
    MADV_DONTFORK: (VM_DONTCOPY, 0),
    MADV_DOFORK: (0, VM_DONTCOPY),
    MADV_HUGEPAGE: (VM_HUGEPAGE, VM_NOHUGEPAGE),
    MADV_NOHUGEPAGE: (VM_NOHUGEPAGE, VM_HUGEPAGE),
    MADV_DONTDUMP: (VM_DONTDUMP, 0),
    MADV_DODUMP: (0, VM_DONTDUMP),
}


def madvise(mm: Mm, start: int, length: int, advice: int) -> Errno:
    """The system call.  Gaps are passed over, and give -ENOMEM in the end."""
    if advice not in FLAGS and advice not in RECLAIM:
        raise ModelError(f"madvise({advice}) is not in the model; see kernel/madvise.py")
    if start % PAGE_SIZE:
        return -EINVAL
    if not length:
        return 0
    end = start + -(-length // PAGE_SIZE) * PAGE_SIZE
    write = advice in FLAGS
    if write:
        mmap_write_lock(mm)
    else:
        mmap_read_lock(mm)
    error = madvise_walk_vmas(mm, start, end, advice)
    if write:
        mmap_write_unlock(mm)
    else:
        mmap_read_unlock(mm)
    return_to_user_space()
    return error


def madvise_walk_vmas(mm: Mm, start: int, end: int, advice: int) -> Errno:
    at, unmapped = start, 0
    for vma in vmas_in(mm, start, end):
        if vma.vm_start > at:
            unmapped = -ENOMEM
        at = min(end, vma.vm_end)
        error = madvise_vma_behavior(vma, max(start, vma.vm_start), at, advice)
        if error:
            return error
    return unmapped if at == end else -ENOMEM


def madvise_vma_behavior(vma: Vma, start: int, end: int, advice: int) -> Errno:
    """Advice on a part of a VMA, which becomes a VMA of its own if the flags change.

    MADV_HUGEPAGE sets its flag on any VMA: that khugepaged passes VM_SPECIAL ones by is
    no reason to refuse, and where a policy decides on huge leaves, as on v6.12, the flag
    counts for device memory too.  MADV_DOFORK cannot take MADV_DONTFORK back from VM_IO.
    """
    if advice in RECLAIM:
        return -EINVAL if vma.vm_flags & VM_PFNMAP else 0
    if advice == MADV_DOFORK and vma.vm_flags & VM_IO:
        return -EINVAL
    if advice == MADV_DODUMP and vma.vm_flags & VM_SPECIAL:
        return -EINVAL
    sets, clears = FLAGS[advice]
    madvise_update_vma(vma, start, end, vma.vm_flags & ~clears | sets)
    return 0


def madvise_update_vma(vma: Vma, start: int, end: int, new_flags: int) -> None:
    if new_flags == vma.vm_flags:
        return
    vma = vma_modify(vma, start, end)
    vma_start_write(vma)
    vm_flags_reset(vma, new_flags)
