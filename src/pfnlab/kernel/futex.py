"""A futex whose word may lie anywhere, a BAR included.

Drawn after kernel/futex/core.c (fault_in_user_writeable()) and kernel/futex/waitwake.c.
"""

from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.kernel.cpu import INTERFERENCES
from pfnlab.kernel.errno import EFAULT, Errno
from pfnlab.kernel.fault_codes import FAULT_FLAG_WRITE
from pfnlab.kernel.gup import fixup_user_fault
from pfnlab.kernel.locks import mmap_read_lock, mmap_read_unlock, return_to_user_space
from pfnlab.kernel.pagetable import walk
from pfnlab.kernel.vma import Mm


def futex_wake_op(mm: Mm, uaddr: int) -> Errno:
    """Change a word of user space, and fault it in if it is not there.

    Model: a private futex, whose key is its address, so that nobody asks for a struct
    page; no waiters, and no locks of the hash table.  As in access(), the word may be
    taken away once between the fault and the second try; then it gives up.
    """
    begin_trying()
    error = 0
    faults = 0
    while futex_atomic_op_inuser(mm, uaddr):
        if faults:
            try_again()
        if faults > INTERFERENCES:
            break
        error = fault_in_user_writeable(mm, uaddr)
        if error:
            break
        faults += 1
    done_trying()
    return_to_user_space()
    return error


def futex_atomic_op_inuser(mm: Mm, uaddr: int) -> Errno:
    """The access itself.  Faults are off, so a missing leaf is an error.  One step."""
    return -EFAULT if walk(mm, uaddr, "cmpxchg_user").leaf is None else 0


def fault_in_user_writeable(mm: Mm, uaddr: int) -> Errno:
    """The one caller that gives fixup_user_fault() no `unlocked`."""
    mmap_read_lock(mm)
    error = fixup_user_fault(mm, uaddr, FAULT_FLAG_WRITE, None)
    mmap_read_unlock(mm)
    return error
