"""What all locks have in common.

A lock is a cell whose value says who has it.  Taking one that is not free is not a
step: the task cannot run until it is.
"""

import sys
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from pfnlab.engine.cell import Cell
from pfnlab.engine.current import CURRENT, running, running_task
from pfnlab.engine.errors import Abandoned, ModelError
from pfnlab.engine.label import NOTHING, READ, Label
from pfnlab.engine.operation import MONITOR, Operation
from pfnlab.engine.program import Rule
from pfnlab.engine.shared import Member, Shared
from pfnlab.engine.signal import signal_of
from pfnlab.engine.step import might_sleep, perform, violate
from pfnlab.engine.store import Store
from pfnlab.engine.task import Hold

LOCK_BALANCE = Rule(
    "lock_balance", "A task releases a lock that it does not hold.", "",
    "Documentation/locking/lockdep-design.rst",
)  # fmt: skip


@dataclass(frozen=True)
class PseudoLock:
    """A class of locks that no object has, and nobody ever holds: only the order counts."""

    name: str

    @property
    def lock_class(self) -> str:
        return self.name

    def acquiring(self, verb: str, mode: str) -> None:
        tell_monitors(self, verb, mode, False, 0)


class Lock(Cell):
    """A cell with holders; steps that take and release it carry clocks between tasks."""

    __slots__ = ("lock_class",)
    spins: ClassVar[bool] = False  # who waits for it does not sleep, and who holds it must not

    def __init__(self, store: Store, name: str, lock_class: str) -> None:
        super().__init__(store, name, atomic=True)
        self.lock_class = lock_class  # as lockdep understands it: the field, not the object

    def acquiring(self, verb: str, mode: str, tried: bool = False, subclass: int = 0) -> None:
        """Tell those who check the order of locks, before the lock is taken."""
        if not (tried or self.spins):
            might_sleep(f"{verb}({self.name})")
        tell_monitors(self, verb, mode, tried, subclass)

    def take(
        self,
        code: int,
        verb: str,
        mode: str,
        kind: int,
        *,
        failed: int = -1,
        blocking: bool = False,
        killable: bool = False,
        otherwise: str = " fails",
    ) -> bool:
        """Take the lock in one step; whether it was taken.

        `kind` and `failed` are the modes of the step's label, by how it ends.
        """
        signal = signal_of(running_task()).number if killable else -1
        op = self.operations.get((verb, code, signal))
        if op is None:
            lost: tuple[tuple[int, int], ...] = ((self.number, failed),)
            if killable:
                lost = (*lost, (signal, READ))
            op = self.operations[verb, code, signal] = Operation(
                code, verb, number=self.number, signal=signal, target=self,
                label=Label(((self.number, kind),), blocking, killable),
                failed=Label(lost, False, killable) if failed >= 0 else NOTHING,
                detail=lambda ok: f"{self.name}{'' if ok else otherwise}",
            )  # fmt: skip
        taken: bool = perform(op)
        if taken:
            self.now_held(mode)
        return taken

    def now_held(self, mode: str) -> None:
        execution, task = running()
        site = execution.recorder.site(task) if execution.recorder is not None else ""
        task.held.append(Hold(self, mode, execution.steps, site, self.spins))

    def drop(self, code: int, verb: str, mode: str, kind: int) -> None:
        """Let the lock go in one step."""
        self.must_hold(verb, mode)
        op = self.operations.get(verb)
        if op is None:
            op = self.operations[verb] = Operation(
                code, verb, number=self.number, target=self,
                label=Label(((self.number, kind),)), detail=lambda _: self.name,
            )  # fmt: skip
        perform(op)
        self.no_longer_held(mode)

    def left_by(self, error: BaseException | None) -> bool:
        """An exception leaves the block of this lock; whether the lock is to be let go.

        It stays held, as an exception makes no steps.  That is right where it ends the task; one
        that catches it and goes on is told in run().  A generator that is closed is no exception.
        """
        task = CURRENT.task
        if task is None or task.abandoned or isinstance(error, Abandoned | KeyboardInterrupt):
            return False
        if isinstance(error, GeneratorExit):
            return task.holds(self) is not None
        frame = sys._getframe(2)  # that of the block
        task.wrong = ModelError(
            f"{type(error).__name__} leaves the block of {self.name} and is caught behind it, "
            "where the lock is still held: it is no kernel event; catch it in the block",
            f"{frame.f_code.co_filename}:{frame.f_lineno}",
        )
        return False

    def no_longer_held(self, mode: str) -> None:
        task = running_task()
        hold = next(h for h in reversed(task.held) if h.lock is self and h.mode == mode)
        task.held.remove(hold)

    def must_hold(self, verb: str, mode: str) -> None:
        task = running_task()
        if not any(hold.lock is self and hold.mode == mode for hold in task.held):
            other = task.holds(self)
            how = f"holds it for {other.mode}" if other is not None else "does not hold it"
            violate(
                LOCK_BALANCE,
                f"{task.name} calls {verb} for {self.name} and {how}.",
                call=f"{verb}({self.name})",
            )


def tell_monitors(
    lock: Lock | PseudoLock, verb: str, mode: str, tried: bool, subclass: int
) -> None:
    execution, task = running()
    for monitor in execution.program.monitors:
        what = monitor.acquiring(task, lock, verb, mode, tried, subclass)
        if what is not None:
            perform(Operation(MONITOR, "monitor", value=what, target=monitor))


class LockMember(Member):
    """A lock as a field of a shared object."""

    is_lock = True

    @abstractmethod
    def new(self, store: Store, name: str, lock_class: str) -> Lock:
        """Make the lock of one object."""

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        lock_class = f"{self.owner}.{self.attribute}"
        make: Callable[[Store, str], Cell] = lambda store, name: self.new(store, name, lock_class)  # noqa: E731
        return self._begin(owner, self._free(), make)

    def __set_name__(self, owner: type, attribute: str) -> None:
        super().__set_name__(owner, attribute)
        self.owner = owner.__name__

    def __set__(self, owner: Shared, value: object) -> None:
        raise ModelError(f"{owner.name}.{self.attribute} is a lock; it cannot be assigned")

    def _free(self) -> Any:
        """The value of a lock that nobody has."""
        return None
