"""The lock of one VMA, with which a fault goes without mmap_lock.

Readers only ever try: one that fails takes mmap_lock instead.  A writer holds mmap_lock
for write, waits for the readers, and keeps the lock until mmap_lock is released or
downgraded.  Drawn after include/linux/mm.h (struct vma_lock, vma_start_write()) and
include/linux/mmap_lock.h.

Model: the kernel keeps a write lock as a sequence number that the end of mmap_lock's
makes stale; here it is the semaphore itself.  A writer that waits does not hold off new
readers; with the kernel's that reader would have been the first, or taken mmap_lock.
"""

from typing import Any, Protocol

from pfnlab.engine.cell import Cell
from pfnlab.engine.current import running_task
from pfnlab.engine.field import field
from pfnlab.engine.lock import Lock
from pfnlab.engine.rwsem import RwSemaphore, rw_semaphore
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import violate
from pfnlab.engine.store import Store
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.rule import contract

VMA_WRITE_UNDER_MMAP_LOCK = contract(
    "R4",
    "vma_write_locked_under_mmap_lock",
    "A VMA may be locked for write only with mmap_lock held for write.",
    "include/linux/mm.h: __is_vma_write_locked(); 5e31275cc997 "
    '("mm: add per-VMA lock and helper functions to control it"), v6.4',
)
NO_MMAP_LOCK_UNDER_VMA_LOCK = contract(
    "R5",
    "no_mmap_lock_under_vma_lock",
    "mmap_lock may not be waited for with the lock of a VMA held for read.",
    "mm/memory.c: lock_vma_under_rcu(); a writer holds mmap_lock and waits for the VMA's readers",
)


class VmaLock(Shared):
    """struct vma_lock.

    It outlives its VMA: the kernel frees both only when no lookup under RCU can have
    found them.  So a lookup may try the lock of a VMA that is gone, and then reads
    `detached`.
    """

    vm_lock = rw_semaphore()
    detached = field(False, guarded_by="vm_lock", traced=False)

    def __init__(self, name: str, mm: Any) -> None:
        self.name = name
        self.mm = mm  # an Mm


VMA_LOCK_CLASS = "VmaLock.vm_lock"


class LockedVma(Protocol):
    """A Vma, as far as its lock goes.  To reach the lock is no access to the VMA."""

    vm_lock: VmaLock


def vma_start_read(vma: LockedVma) -> bool:
    """Lock a VMA for read if no writer has it."""
    return vma.vm_lock.vm_lock.down_read_trylock()


def vma_end_read(vma: LockedVma) -> None:
    """Without per-VMA locks nobody has one."""
    if running_kernel().per_vma_lock:
        vma.vm_lock.vm_lock.up_read()


def vma_start_write(vma: LockedVma) -> None:
    """Wait until nobody reads the VMA under its lock, up to the end of the caller's mmap_lock.

    mmap_lock is held for write.  Once more does nothing.
    """
    if not running_kernel().per_vma_lock:
        return
    lock = vma.vm_lock
    task = running_task()
    hold = task.holds(lock.mm.mmap_lock)
    if hold is None or hold.mode != "write":
        has = "for read only" if hold is not None else "not at all"
        violate(VMA_WRITE_UNDER_MMAP_LOCK, f"{task.name} holds {lock.mm}.mmap_lock {has}.")
        return
    if not vma_is_write_locked(vma):
        lock.vm_lock.down_write()
        lock.mm.write_locked = (*lock.mm.write_locked, lock)


def vma_is_write_locked(vma: LockedVma) -> bool:
    """Whether the running task has it."""
    hold = running_task().holds(vma.vm_lock.vm_lock)
    return hold is not None and hold.mode == "write"


def vma_end_write_all(mm: Any) -> None:
    """Every VMA of an mm becomes free to be read; mmap_lock is held for write."""
    if running_kernel().per_vma_lock and mm.write_locked:
        for lock in mm.write_locked:
            lock.vm_lock.up_write()
        mm.write_locked = ()


def vma_mark_detached(vma: LockedVma, detached: bool) -> None:
    """Say that a VMA is on its way out of the tree.  It is locked for write."""
    if running_kernel().per_vma_lock:
        vma.vm_lock.detached = detached


def vma_lock_held() -> Lock | None:
    """A VMA lock that the running task holds for read."""
    for hold in running_task().held:
        lock = hold.lock
        if hold.mode == "read" and isinstance(lock, Lock) and lock.lock_class == VMA_LOCK_CLASS:
            return lock
    return None


def may_wait_for_mmap_lock(mm: Any) -> None:
    """Called by whoever is about to wait for it."""
    lock = vma_lock_held()
    if lock is not None:
        violate(
            NO_MMAP_LOCK_UNDER_VMA_LOCK,
            f"{running_task().name} holds {lock.name} for read and waits for {mm}.mmap_lock.",
        )


class MmapLock(RwSemaphore):
    """mm.mmap_lock: whoever waits for it has no VMA locked, and no VMA stays locked behind it.

    mmap_write_lock(), mmap_write_unlock() and `with` all come here, so they do the same.

    Model: a bare down_write() or up_write() of it does too; nobody in the kernel uses those
    since the wrappers came (v5.8).
    """

    __slots__ = ("mm",)

    mm: Any  # an Mm

    def down_read(self) -> None:
        may_wait_for_mmap_lock(self.mm)
        super().down_read()

    def down_write(self, subclass: int = 0) -> None:
        may_wait_for_mmap_lock(self.mm)
        super().down_write(subclass)

    def down_write_killable(self) -> bool:
        may_wait_for_mmap_lock(self.mm)
        return super().down_write_killable()

    def up_write(self) -> None:
        vma_end_write_all(self.mm)
        super().up_write()

    def downgrade_write(self) -> None:
        vma_end_write_all(self.mm)
        super().downgrade_write()


class mmap_rw_semaphore(rw_semaphore):
    """The field of an Mm that is its mmap_lock."""

    def new(self, store: Store, name: str, lock_class: str) -> Lock:
        return MmapLock(store, name, lock_class, self.fair)

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        lock, free = super().begin(owner)
        assert isinstance(lock, MmapLock)
        lock.mm = owner
        return lock, free
