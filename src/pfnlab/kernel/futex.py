"""A futex whose word may lie anywhere, a BAR included.

Drawn after kernel/futex/core.c (get_futex_key(), fault_in_user_writeable()) and
kernel/futex/waitwake.c (futex_wake_op()), v6.12.

Model: the access is never told to come again, -EAGAIN, as x86 does not.
"""

from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.kernel.cpu import INTERFERENCES, reach
from pfnlab.kernel.errno import EFAULT, EINVAL, Errno
from pfnlab.kernel.fault_codes import FAULT_FLAG_WRITE
from pfnlab.kernel.gup import fixup_user_fault
from pfnlab.kernel.locks import mmap_read_lock, mmap_read_unlock, return_to_user_space
from pfnlab.kernel.vma import Mm

FLAGS_SHARED = 0x10
FUTEX_ALIGN = 4  # bytes


def futex_wake_op(mm: Mm, uaddr2: int, flags: int = 0) -> Errno:
    """Change the second word of FUTEX_WAKE_OP, and fault it in if it is not there.

    The fault is taken after the locks of the hash buckets have been released: under them
    nothing may sleep.

    Model: no waiters and no first word; the two bucket locks are held for the access
    alone, which is one step.  As in access(), the word may be taken away once between the
    fault and the second try; then it gives up, where the kernel goes on.
    """
    begin_trying()
    error = get_futex_key(uaddr2, flags)
    faults = 0
    while not error and futex_atomic_op_inuser(mm, uaddr2) == -EFAULT:
        if faults:
            try_again()
        if faults > INTERFERENCES:
            break
        error = fault_in_user_writeable(mm, uaddr2)
        faults += 1
    done_trying()
    return_to_user_space()
    return error


def get_futex_key(uaddr: int, flags: int) -> Errno:
    """What makes two futexes the same: of a private one the address, which asks for no page.

    Model: a shared one needs the struct page behind it, and get_user_pages_fast() refuses
    VM_IO and VM_PFNMAP; so on a BAR it fails, without a step here.
    """
    if uaddr % FUTEX_ALIGN:
        return -EINVAL
    return -EFAULT if flags & FLAGS_SHARED else 0


def futex_atomic_op_inuser(mm: Mm, uaddr: int) -> Errno:
    """The access itself.  Faults are off, so a missing leaf is an error.  One step."""
    return 0 if reach(mm, uaddr, "futex_op") else -EFAULT


def fault_in_user_writeable(mm: Mm, uaddr: int) -> Errno:
    """The one caller that gives fixup_user_fault() no `unlocked`."""
    mmap_read_lock(mm)
    error = fixup_user_fault(mm, uaddr, FAULT_FLAG_WRITE, None)
    mmap_read_unlock(mm)
    return min(error, 0)
