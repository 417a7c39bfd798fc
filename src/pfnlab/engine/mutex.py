"""Mutex and spinlock: one holder at a time."""

from types import TracebackType
from typing import Self, overload

from pfnlab.engine import label as kind
from pfnlab.engine.label import Label
from pfnlab.engine.lock import Lock, LockMember
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import note, visible
from pfnlab.engine.task import Operation, Task


class Mutex(Lock):
    """One holder at a time."""

    __slots__ = ()
    verbs = ("mutex_lock", "mutex_unlock", "mutex_trylock")

    def lock(self) -> None:
        self.acquiring(self.verbs[0], "")

        def perform(task: Task, _choice: int) -> tuple[Label, None]:
            self.take(task, task, "")
            return Label(kind.LOCK, self.number, blocking=True), None

        visible(
            Operation(
                self.verbs[0], self, perform, ready=lambda _task: self.value is None,
                blocked=Label(kind.LOCK, self.number, blocking=True),
                blockers=lambda _task: [self.value], detail=self.named,
            )
        )  # fmt: skip

    def trylock(self) -> bool:
        self.acquiring(self.verbs[2], "", tried=True)

        def perform(task: Task, _choice: int) -> tuple[Label, bool]:
            note(task, self, "free", lambda: self.value is None)
            if self.value is not None:
                return Label(kind.TRYLOCK_FAILED, self.number), False
            self.take(task, task, "")
            return Label(kind.TRYLOCK, self.number), True

        taken: bool = visible(
            Operation(
                self.verbs[2], self, perform,
                detail=lambda ok: f"{self.name}{'' if ok else ' fails'}",
            )
        )  # fmt: skip
        return taken

    def unlock(self) -> None:
        self.must_hold(self.verbs[1], "")

        def perform(task: Task, _choice: int) -> tuple[Label, None]:
            self.drop(task, None, "")
            return Label(kind.UNLOCK, self.number), None

        visible(Operation(self.verbs[1], self, perform, detail=self.named))

    def __enter__(self) -> Self:
        self.lock()
        return self

    def __exit__(
        self,
        raised: type[BaseException] | None,
        _error: BaseException | None,
        _trace: TracebackType | None,
    ) -> None:
        if raised is None:  # an exception is no kernel event: it must not make steps
            self.unlock()


class Spinlock(Mutex):
    """A mutex by another name: nothing here can sleep while it is held."""

    __slots__ = ()
    verbs = ("spin_lock", "spin_unlock", "spin_trylock")


class mutex(LockMember):
    """A sleeping lock with one holder."""

    def new(self, name: str, number: int, lock_class: str) -> Lock:
        return Mutex(name, number, lock_class, None)

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

    def new(self, name: str, number: int, lock_class: str) -> Lock:
        return Spinlock(name, number, lock_class, None)
