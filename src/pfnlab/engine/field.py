"""Plain fields of shared objects: race-free by locking, or a finding."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from pfnlab.engine.cell import Cell
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import observing, running
from pfnlab.engine.label import MEMORY, Label
from pfnlab.engine.shared import Member, Shared, show
from pfnlab.engine.step import check_race, note, note_own, plain, visible
from pfnlab.engine.task import Operation, Task

T = TypeVar("T")


class field(Member, Generic[T]):
    """A plain field.  Accesses that no lock orders are a data race, which is a finding.

    guarded_by  the lock that protects it, for the reader and for messages
    watched     writes are visible steps, so that invariants may read the field
    traced      whether an access is a step of its own in a trace
    text        how a value is shown
    """

    def __init__(
        self,
        default: T,
        *,
        guarded_by: str = "",
        watched: bool = False,
        traced: bool = True,
        text: Callable[[Any], str] = show,
    ) -> None:
        self.default = default
        self.guarded_by = guarded_by
        self.watched = watched
        self.traced = traced or watched
        self.text = text

    def begin(self, owner: Shared) -> None:
        value = vars(owner).pop(self.attribute, self.default)

        def make(name: str, number: int) -> Cell:
            return Cell(
                name,
                number,
                watched=self.watched,
                traced=self.traced,
                guard=self.guarded_by,
                field=self.place,
                text=self.text,
            )

        self._make(owner, value, make)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> T: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | T:
        if owner is None:
            return self
        result: T = read_field(self._cell(owner))
        return result

    def __set__(self, owner: Shared, value: T) -> None:
        if not owner._ready:
            vars(owner)[self.attribute] = value
        else:
            write_field(self._cell(owner), value)


def read_field(cell: Cell) -> Any:
    watch = observing()
    if watch is not None:
        if not (cell.watched or cell.atomic):
            raise ModelError(
                f"a rule reads {cell.name}, whose writes are no visible steps; "
                "declare the field with watched=True"
            )
        watch.reading = (watch.reading or 0) | cell.bit
        return cell.value
    return plain(
        cell, "read", write=False, change=lambda: cell.value,
        detail=lambda value: f"{cell.name} is {cell.text(value)}",
    )  # fmt: skip


def write_field(cell: Cell, value: Any) -> None:
    replace_field(cell, lambda _old: value, lambda _old: f"{cell.name} = {cell.text(value)}")


def replace_field(
    cell: Cell, change: Callable[[Any], Any], detail: Callable[[Any], str], verb: str = "write"
) -> Any:
    """Set a cell to change(old) in one step; return the old value."""
    execution, _task = running()

    def replace() -> Any:
        old = cell.value
        execution.write(cell, change(old))
        return old

    if not cell.watched:
        return plain(cell, verb, write=True, change=replace, detail=detail)

    def perform(task: Task, _choice: int) -> tuple[Label, Any]:
        if task is not execution.setup:
            note(task, cell)
            check_race(execution, task, cell, write=True, event=len(execution.events))
        old = replace()
        note_own(task, cell)
        if cell.published and task is not execution.setup:
            cell.clock = list(task.clock)
            task.clock[task.index] += 1
        return Label(MEMORY, -1, 0, cell.bit), old

    return visible(Operation(verb, cell, perform, detail=detail))
