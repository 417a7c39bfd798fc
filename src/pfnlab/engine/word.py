"""Atomic words: every access is a visible step."""

from collections.abc import Callable, Hashable
from typing import Any, Generic, Self, TypeVar, overload

from pfnlab.engine.cell import Cell
from pfnlab.engine.clock import join
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import current_execution, observing, running
from pfnlab.engine.label import MEMORY, Label
from pfnlab.engine.shared import Member, Shared, show
from pfnlab.engine.step import note, note_own, visible
from pfnlab.engine.task import Operation, Task

T = TypeVar("T")


class word(Member, Generic[T]):
    """An atomic word: every access is a visible step, and orders what comes after it."""

    def __init__(self, default: T) -> None:
        self.default = default

    def begin(self, owner: Shared) -> None:
        value = vars(owner).pop(self.attribute, self.default)
        self._make(owner, value, lambda name, number: Cell(name, number, atomic=True))

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> T: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | T:
        if owner is None:
            return self
        result: T = read_word(self._cell(owner))
        return result

    def __set__(self, owner: Shared, value: T) -> None:
        if not owner._ready:
            vars(owner)[self.attribute] = value
        else:
            write_word(self._cell(owner), value)

    def cell(self, owner: Shared) -> Cell:
        """The cell of one object, for update()."""
        return self._cell(owner)


def atomically(
    cells: tuple[Cell, ...],
    verb: str,
    act: Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], Any]],
    *,
    detail: Callable[[Any], str] | None = None,
) -> Any:
    """One atomic step on atomic words: read all, write those that `act` changes.

    `act` maps the values to (new values, result).  A word whose value stays the same
    counts as read only: nobody can tell the difference.
    """
    execution, _task = running()

    def perform(task: Task, _choice: int) -> tuple[Label, Any]:
        before = tuple(cell.value for cell in cells)
        for cell in cells:
            note(task, cell)
        after, result = act(before)
        reads = writes = adds = 0
        for cell, old, new in zip(cells, before, after, strict=True):
            reads |= cell.bit
            if new is not old and new != old:
                execution.write(cell, new)
                writes |= cell.bit
                adds |= cell.collection
            note_own(task, cell)
            if task is not execution.setup:
                join(task.clock, cell.clock)
        if writes and task is not execution.setup:
            for cell in cells:
                if writes & cell.bit:
                    cell.clock = list(task.clock)
            task.clock[task.index] += 1
        return Label(MEMORY, -1, reads & ~writes, writes, adds=adds), result

    return visible(Operation(verb, cells[0] if cells else None, perform, detail=detail))


def read_word(cell: Cell) -> Any:
    watch = observing()
    if watch is not None:
        watch.reading = (watch.reading or 0) | cell.bit
        return cell.value
    return atomically(
        (cell,), "read", lambda old: (old, old[0]),
        detail=lambda value: f"{cell.name} is {show(value)}",
    )  # fmt: skip


def write_word(cell: Cell, value: Any) -> None:
    """A write counts as one even if the value stays the same."""
    execution, _task = running()

    def perform(task: Task, _choice: int) -> tuple[Label, None]:
        note(task, cell)
        execution.write(cell, value)
        note_own(task, cell)
        if task is not execution.setup:
            join(task.clock, cell.clock)
            cell.clock = list(task.clock)
            task.clock[task.index] += 1
        return Label(MEMORY, -1, 0, cell.bit, adds=cell.collection), None

    visible(Operation("write", cell, perform, detail=lambda _: f"{cell.name} = {show(value)}"))


def update(owner: Shared, attribute: str, change: Callable[[Any], Any]) -> Any:
    """Atomically replace a word by change(old); return the old value."""
    cell = owner._cells[attribute]
    return atomically(
        (cell,), "update", lambda old: ((change(old[0]),), old[0]),
        detail=lambda old: f"{cell.name} {show(old)} -> {show(change(old))}",
    )  # fmt: skip


def compare_exchange(owner: Shared, attribute: str, expected: Any, new: Any) -> bool:
    """Atomically set a word to `new` if it is `expected`; return whether it was."""
    cell = owner._cells[attribute]
    swapped: bool = atomically(
        (cell,), "cmpxchg",
        lambda old: ((new,), True) if old[0] == expected else (old, False),
        detail=lambda ok: f"{cell.name} {show(expected)} -> {show(new)}{'' if ok else ' fails'}",
    )  # fmt: skip
    return swapped


class words(Member):
    """Any number of atomic words, by key; each is None until it is written."""

    def begin(self, owner: Shared) -> None:
        """A cell for the collection as a whole; words come into being when first used."""
        self._make(owner, None, lambda name, number: Cell(name, number, atomic=True))

    def __get__(self, owner: Shared, kind: type) -> "Words":
        return Words(owner, self._cell(owner), self.attribute)


class Words:
    """What a `words()` attribute gives: `cell(key)` for atomically(), `values()` for rules."""

    __slots__ = ("collection", "owner", "prefix")

    def __init__(self, owner: Shared, collection: Cell, attribute: str) -> None:
        self.owner = owner
        self.collection = collection
        self.prefix = f"{attribute}["

    def cell(self, key: Hashable, name: str) -> Cell:
        """The word of a key; `name` is for traces."""
        place = f"{self.prefix}{key}]"
        cell = self.owner._cells.get(place)
        if cell is None:
            execution = current_execution()
            cell = Cell(name, len(execution.cells), atomic=True)
            cell.collection = self.collection.bit
            execution.cells.append(cell)
            self.owner._cells[place] = cell
        return cell

    def values(self) -> list[Any]:
        """All that were ever used, for rules: reads the collection as a whole."""
        watch = observing()
        if watch is None:
            raise ModelError("only rules look at all words at once")
        watch.reading = (watch.reading or 0) | self.collection.bit
        cells = self.owner._cells
        return [cell.value for place, cell in cells.items() if place.startswith(self.prefix)]
