"""The kernel's verbs for locks.  Drawn after include/linux/{mutex,rwsem,mmap_lock}.h."""

from pfnlab.engine.current import running_task
from pfnlab.engine.lock import Lock
from pfnlab.engine.mutex import Mutex, Spinlock
from pfnlab.engine.rwsem import RwSemaphore
from pfnlab.engine.step import violate
from pfnlab.kernel.errno import EINTR, Errno
from pfnlab.kernel.file import task_work_run
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import AddressSpace, Mm

NO_LOCK_IN_USER_SPACE = contract(
    "",
    "no_lock_held_in_user_space",
    "A task returns to user space and still holds a lock.",
    "kernel/locking/lockdep.c: lockdep_sys_exit()",
)
LOCKDEP_ASSERT_HELD = contract(
    "",
    "lockdep_assert_held",
    "A function is called without the lock that its caller must hold.",
    "include/linux/lockdep.h: lockdep_assert_held()",
)


def mutex_lock(lock: Mutex) -> None:
    lock.lock()


def mutex_unlock(lock: Mutex) -> None:
    lock.unlock()


def spin_lock(lock: Spinlock) -> None:
    lock.lock()


def spin_unlock(lock: Spinlock) -> None:
    lock.unlock()


def spin_trylock(lock: Spinlock) -> bool:
    return lock.trylock()


def mutex_trylock(lock: Mutex) -> bool:
    return lock.trylock()


def down_read(sem: RwSemaphore) -> None:
    sem.down_read()


def down_read_trylock(sem: RwSemaphore) -> bool:
    return sem.down_read_trylock()


def down_read_killable(sem: RwSemaphore) -> Errno:
    return 0 if sem.down_read_killable() else -EINTR


def up_read(sem: RwSemaphore) -> None:
    sem.up_read()


def down_write(sem: RwSemaphore) -> None:
    sem.down_write()


def down_write_trylock(sem: RwSemaphore) -> bool:
    return sem.down_write_trylock()


def down_write_killable(sem: RwSemaphore) -> Errno:
    return 0 if sem.down_write_killable() else -EINTR


def up_write(sem: RwSemaphore) -> None:
    sem.up_write()


def downgrade_write(sem: RwSemaphore) -> None:
    sem.downgrade_write()


def mmap_read_lock(mm: Mm) -> None:
    mm.mmap_lock.down_read()


def mmap_read_trylock(mm: Mm) -> bool:
    return down_read_trylock(mm.mmap_lock)


def mmap_read_unlock(mm: Mm) -> None:
    up_read(mm.mmap_lock)


def mmap_write_lock(mm: Mm) -> None:
    mm.mmap_lock.down_write()


def mmap_write_lock_nested(mm: Mm) -> None:
    """The second mmap_lock that a task takes, of an mm that nobody else knows."""
    mm.mmap_lock.down_write(subclass=1)


def mmap_write_lock_killable(mm: Mm) -> Errno:
    return 0 if mm.mmap_lock.down_write_killable() else -EINTR


def mmap_write_downgrade(mm: Mm) -> None:
    mm.mmap_lock.downgrade_write()


def mmap_write_unlock(mm: Mm) -> None:
    mm.mmap_lock.up_write()


def i_mmap_lock_read(mapping: AddressSpace) -> None:
    down_read(mapping.i_mmap_rwsem)


def i_mmap_unlock_read(mapping: AddressSpace) -> None:
    up_read(mapping.i_mmap_rwsem)


def i_mmap_lock_write(mapping: AddressSpace) -> None:
    down_write(mapping.i_mmap_rwsem)


def i_mmap_unlock_write(mapping: AddressSpace) -> None:
    up_write(mapping.i_mmap_rwsem)


def lockdep_assert_held(lock: Lock) -> None:
    """The running task must hold the lock, in any way."""
    task = running_task()
    if task.holds(lock) is None:
        violate(LOCKDEP_ASSERT_HELD, f"{task.name} does not hold {lock.name}.")


def lockdep_assert_held_write(sem: RwSemaphore) -> None:
    """The running task must hold the semaphore for write."""
    task = running_task()
    hold = task.holds(sem)
    if hold is None or hold.mode != "write":
        has = f"only for read, since step {hold.step}" if hold is not None else "not at all"
        violate(LOCKDEP_ASSERT_HELD, f"{task.name} must hold {sem.name} for write; it does {has}.")


def return_to_user_space() -> None:
    """The end of a system call or a fault: all locks must have been released."""
    task = running_task()
    if task.held:
        held = ", ".join(
            f"{hold.lock.name}{f' for {hold.mode}' if hold.mode else ''} (step {hold.step})"
            for hold in task.held
        )
        violate(NO_LOCK_IN_USER_SPACE, f"{task.name} holds {held}.")
    task_work_run()
