"""Mutex and spinlock: one holder at a time."""

from types import TracebackType
from typing import Self, overload

from pfnlab.engine import label as kind
from pfnlab.engine import operation as op_
from pfnlab.engine.lock import Lock, LockMember
from pfnlab.engine.shared import Shared
from pfnlab.engine.store import Store


class Mutex(Lock):
    """One holder at a time."""

    __slots__ = ()
    verbs = ("mutex_lock", "mutex_unlock", "mutex_trylock")

    def lock(self) -> None:
        self.acquiring(self.verbs[0], "")
        self.take(op_.LOCK, self.verbs[0], "", kind.LOCK, blocking=True)

    def trylock(self) -> bool:
        self.acquiring(self.verbs[2], "", tried=True)
        return self.take(op_.TRYLOCK, self.verbs[2], "", kind.TRYLOCK, failed=kind.TRYLOCK_FAILED)

    def unlock(self) -> None:
        self.drop(op_.UNLOCK, self.verbs[1], "", kind.UNLOCK)

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(
        self,
        raised: type[BaseException] | None,
        error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if raised is None or self.left_by(error):
            self.unlock()


class Spinlock(Mutex):
    """A mutex under which nothing may sleep: see might_sleep()."""

    __slots__ = ()
    spins = True
    verbs = ("spin_lock", "spin_unlock", "spin_trylock")


class mutex(LockMember):
    """A sleeping lock with one holder."""

    def new(self, store: Store, name: str, lock_class: str) -> Lock:
        return Mutex(store, name, lock_class)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> Mutex: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | Mutex:
        if owner is None:
            return self
        lock = self._cell(owner)
        assert isinstance(lock, Mutex)
        return lock


class spinlock(mutex):
    """A lock under which nothing may sleep."""

    def new(self, store: Store, name: str, lock_class: str) -> Lock:
        return Spinlock(store, name, lock_class)
