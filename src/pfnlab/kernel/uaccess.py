"""Copies between the kernel and user space.

Drawn after include/linux/uaccess.h and mm/memory.c: __might_fault().
"""

from pfnlab.engine.current import running_task
from pfnlab.engine.lock import Lock
from pfnlab.engine.step import violate
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import Mm

NO_USER_UNDER_MEMORY_LOCK = contract(
    "R13",
    "no_user_access_under_memory_lock",
    "User memory is read or written while memory_lock is held: a disable may wait for user space.",
    "vfio_pci_rdwr.c: vfio_pci_core_do_io_rw() holds memory_lock around each bus access only",
)


def might_fault(mm: Mm) -> None:
    """A page of user space may be missing: whoever comes here must be able to take a fault.

    So no memory_lock, which the fault handler of a BAR takes and user space can hold up;
    and lockdep is told of mmap_lock, fault or no fault.
    """
    task = running_task()
    for hold in task.held:
        if isinstance(hold.lock, Lock) and hold.lock.lock_class.endswith(".memory_lock"):
            violate(
                NO_USER_UNDER_MEMORY_LOCK,
                f"{task.name} holds {hold.lock.name} for {hold.mode}, since step {hold.step}.",
                call="might_fault()",
            )
    mm.mmap_lock.acquiring("might_fault", "read")


def copy_to_user(mm: Mm) -> None:
    """Write to a buffer of user space.

    Model: the page of the buffer is there, so this makes no step; what matters is what the
    caller must not hold.
    """
    might_fault(mm)


def copy_from_user(mm: Mm) -> None:
    """Read a buffer of user space; as copy_to_user()."""
    might_fault(mm)
