"""Waiting for others: a word to change, a completion, a condition under a mutex.

Drawn after include/linux/completion.h and include/linux/wait.h.
"""

from collections.abc import Callable
from typing import Any, Self, overload

from pfnlab.engine import operation as op_
from pfnlab.engine.access import atomically
from pfnlab.engine.cell import Cell, Handle, show
from pfnlab.engine.errors import ModelError
from pfnlab.engine.frozen import frozen
from pfnlab.engine.label import LOCK, READ, UNLOCK, WRITE, Label
from pfnlab.engine.mutex import Mutex
from pfnlab.engine.operation import Operation
from pfnlab.engine.shared import Member, Shared
from pfnlab.engine.step import might_sleep, perform
from pfnlab.engine.store import Store
from pfnlab.engine.word import cell_of_word

ALL = 1 << 30  # of a completion that stays done: UINT_MAX in the kernel


def wait_event(owner: Shared, attribute: str, condition: Callable[[Any], bool]) -> Any:
    """Wait until a word has a value that satisfies the condition; returns that value.

    One step, which happens when the condition is true: what comes after it sees the value.
    """
    cell = cell_of_word(owner, attribute, "wait_event")
    return _wait(
        cell, "wait_event", condition, lambda old: ((old[0],), old[0]),
        lambda value: f"{cell.name} is {show(value)}",
    )  # fmt: skip


def _wait(
    cell: Cell,
    verb: str,
    ready: Callable[[Any], bool],
    act: Callable[[Any], Any],
    detail: Callable[[Any], str],
    mode: int = READ,
) -> Any:
    might_sleep(f"{verb}({cell.name})")
    return perform(
        Operation(op_.WAIT, verb, number=cell.number, ready=frozen(ready), act=act, target=cell,
                  label=Label(((cell.number, mode),), blocking=True), detail=detail)
    )  # fmt: skip


class Completion(Handle):
    """What a `completion()` attribute gives."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def wait_for_completion(self) -> None:
        """Wait until somebody completes; each complete() lets one waiter go."""
        _wait(
            self.cell, "wait_for_completion", lambda done: done > 0,
            lambda old: ((old[0] - (old[0] < ALL),), None), lambda _: self.cell.name, WRITE,
        )  # fmt: skip

    def complete(self) -> None:
        atomically(
            (self.cell,), "complete", lambda old: ((min(old[0] + 1, ALL),), None),
            detail=lambda _: self.cell.name,
        )  # fmt: skip

    def complete_all(self) -> None:
        atomically(
            (self.cell,), "complete_all", lambda _old: ((ALL,), None),
            detail=lambda _: self.cell.name,
        )  # fmt: skip

    def reinit_completion(self) -> None:
        """As if nobody had completed yet."""
        atomically(
            (self.cell,), "reinit_completion", lambda _old: ((0,), None),
            detail=lambda _: self.cell.name,
        )  # fmt: skip

    def completion_done(self) -> bool:
        done: bool = atomically(
            (self.cell,), "completion_done", lambda old: (old, old[0] > 0),
            detail=lambda done: f"{self.cell.name}: {done}",
        )  # fmt: skip
        return done


class completion(Member):
    """Something that is waited for until somebody says that it is done."""

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        return self._begin(owner, 0, lambda store, name: Cell(store, name, atomic=True))

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> Completion: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | Completion:
        return self if owner is None else Completion(self._cell(owner))

    def __set__(self, owner: Shared, value: object) -> None:
        raise ModelError(f"{owner.name}.{self.attribute} is a completion; call complete()")


class Condition(Handle):
    """What a `condition()` attribute gives: a queue of waiters, first in, first out."""

    __slots__ = ("cell",)

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def wait(self, lock: Mutex) -> None:
        """Let a mutex go and stand in the queue, in one step; once woken, take it again."""
        lock.must_hold("wait", "")
        might_sleep(f"wait({self.cell.name})", but=lock)
        number, queue = lock.number, self.cell.number
        perform(
            Operation(op_.COND_WAIT, "wait", number=number, cells=(queue,), target=self.cell,
                      label=Label(((number, UNLOCK), (queue, WRITE))),
                      detail=lambda _: f"{self.cell.name}, {lock.name}")
        )  # fmt: skip
        lock.no_longer_held("")
        perform(
            Operation(op_.COND_WAKE, "woken", number=number, cells=(queue,), target=lock,
                      value=self.cell.name,
                      label=Label(((number, LOCK), (queue, READ)), blocking=True),
                      detail=lambda _: f"{self.cell.name}, {lock.name}")
        )  # fmt: skip
        lock.now_held("")

    def wake_up(self) -> None:
        """Wake the first of the queue, if there is one."""
        self._wake("wake_up", lambda queue: queue[1:])

    def wake_up_all(self) -> None:
        self._wake("wake_up_all", lambda _queue: ())

    def _wake(self, verb: str, left: Callable[[tuple[int, ...]], tuple[int, ...]]) -> None:
        atomically(
            (self.cell,), verb, lambda old: ((left(old[0]),), None),
            detail=lambda _: self.cell.name,
        )  # fmt: skip


class condition(Member):
    """A wait queue under a mutex."""

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        def make(store: Store, name: str) -> Cell:
            return Cell(store, name, (), atomic=True)

        return self._begin(owner, (), make)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> Condition: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | Condition:
        return self if owner is None else Condition(self._cell(owner))

    def __set__(self, owner: Shared, value: object) -> None:
        raise ModelError(f"{owner.name}.{self.attribute} is a condition; call wake_up()")
