"""What all locks have in common.

A lock is a cell whose value says who has it.  Taking one that is not free is not a
step: the task cannot run until it is.
"""

from abc import abstractmethod
from typing import Any

from pfnlab.engine.cell import Cell
from pfnlab.engine.clock import Clock, join
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import running
from pfnlab.engine.program import Rule
from pfnlab.engine.shared import Member, Shared
from pfnlab.engine.step import note_own, violate
from pfnlab.engine.task import Hold, Task

LOCK_BALANCE = Rule(
    "lock_balance", "A task releases a lock that it does not hold.", "",
    "Documentation/locking/lockdep-design.rst",
)  # fmt: skip


class Lock(Cell):
    """A cell with holders; steps that take and release it carry clocks between tasks."""

    __slots__ = ("lock_class", "read_clock")

    def __init__(self, name: str, number: int, lock_class: str, value: Any) -> None:
        super().__init__(name, number, value)
        self.lock_class = lock_class  # as lockdep understands it: the field, not the object
        self.read_clock: tuple[int, Clock] = (-1, [])  # what readers let go, by run

    def acquiring(self, verb: str, mode: str, tried: bool = False, subclass: int = 0) -> None:
        """Tell those who check the order of locks, before the lock is taken."""
        execution, task = running()
        for monitor in execution.program.monitors:
            monitor.acquiring(task, self, verb, mode, tried, subclass)

    def take(self, task: Task, value: Any, mode: str) -> None:
        execution, _task = running()
        execution.write(self, value)
        note_own(task, self)
        site = execution.recorder.site(task) if execution.recorder is not None else ""
        task.held.append(Hold(self, mode, execution.steps, site))
        join(task.clock, self.clock)
        if mode != "read" and self.read_clock[0] == execution.run:
            join(task.clock, self.read_clock[1])

    def drop(self, task: Task, value: Any, mode: str) -> None:
        execution, _task = running()
        execution.write(self, value)
        note_own(task, self)
        hold = next(h for h in reversed(task.held) if h.lock is self and h.mode == mode)
        task.held.remove(hold)
        if task is execution.setup:
            return
        if mode == "read":
            if self.read_clock[0] != execution.run:
                self.read_clock = (execution.run, [0] * len(task.clock))
            join(self.read_clock[1], task.clock)
        else:
            self.clock = list(task.clock)
        task.clock[task.index] += 1

    def must_hold(self, verb: str, *modes: str) -> None:
        task = running()[1]
        if not any(hold.lock is self and hold.mode in modes for hold in task.held):
            violate(
                LOCK_BALANCE,
                f"{task.name} calls {verb} for {self.name} and does not hold it.",
                call=f"{verb}({self.name})",
            )

    def named(self, _result: Any) -> str:
        return self.name


class LockMember(Member):
    """A lock as a field of a shared object."""

    @abstractmethod
    def new(self, name: str, number: int, lock_class: str) -> Lock:
        """Make the lock of one object."""

    def begin(self, owner: Shared) -> None:
        lock_class = f"{self.owner}.{self.attribute}"
        self._make(owner, self._free(), lambda name, number: self.new(name, number, lock_class))

    def __set_name__(self, owner: type, attribute: str) -> None:
        super().__set_name__(owner, attribute)
        self.owner = owner.__name__

    def __set__(self, owner: Shared, value: object) -> None:
        raise ModelError(f"{owner.name}.{self.attribute} is a lock; it cannot be assigned")

    def _free(self) -> Any:
        """The value of a lock that nobody has."""
        return None
