"""Atomic words: every access is a visible step."""

from collections.abc import Callable, Hashable
from typing import Any, TypeVar

from pfnlab.engine.access import atomically, read_word, write_word
from pfnlab.engine.alike import alike
from pfnlab.engine.cell import Cell, Handle, show
from pfnlab.engine.current import current_execution, observing
from pfnlab.engine.errors import ModelError
from pfnlab.engine.frozen import frozen
from pfnlab.engine.shared import Member, Shared, Value

T = TypeVar("T")


class word(Value[T]):
    """An atomic word: every access is a visible step, and orders what comes after it."""

    def __init__(self, default: T) -> None:
        self.default = default

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        return self._begin(owner, self.default, lambda store, name: Cell(store, name, atomic=True))

    def read(self, cell: Cell) -> Any:
        return read_word(cell)

    def write(self, cell: Cell, value: Any) -> None:
        write_word(cell, value)

    def cell(self, owner: Shared) -> Cell:
        """The cell of one object, for update()."""
        return self._cell(owner)


def cell_of_word(owner: Shared, attribute: str, verb: str) -> Cell:
    """Raises ModelError for an attribute that is no word: its accesses are not atomic."""
    classes = map(vars, type(owner).__mro__)
    member = next((known[attribute] for known in classes if attribute in known), None)
    if not isinstance(member, word):
        what = f"a {type(member).__name__}" if isinstance(member, Member) else "no member"
        raise ModelError(f"{verb}() needs a word; {attribute} of {owner.name} is {what}")
    return member.cell(owner)


def update(owner: Shared, attribute: str, change: Callable[[Any], Any]) -> Any:
    """Atomically replace a word by change(old); return the old value."""
    cell, change = cell_of_word(owner, attribute, "update"), frozen(change)
    return atomically(
        (cell,), "update", lambda old: ((change(old[0]),), old[0]),
        detail=lambda old: f"{cell.name} {show(old)} -> {show(change(old))}",
        idle=lambda old: alike(change(old), old),
    )  # fmt: skip


def compare_exchange(owner: Shared, attribute: str, expected: Any, new: Any) -> bool:
    """Atomically set a word to `new` if it is `expected`; return whether it was."""
    cell = cell_of_word(owner, attribute, "compare_exchange")
    swapped: bool = atomically(
        (cell,), "cmpxchg",
        lambda old: ((new,), True) if old[0] == expected else (old, False),
        detail=lambda ok: f"{cell.name} {show(expected)} -> {show(new)}{'' if ok else ' fails'}",
        idle=lambda ok: not ok,
    )  # fmt: skip
    return swapped


class words(Member):
    """Any number of atomic words, by key; each is None until it is written."""

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        """A cell for the collection as a whole; words come into being when first used."""

        def make(store: Any, name: str) -> Cell:
            cell = Cell(store, name, atomic=True)
            store.members[cell.number] = []
            return cell

        return self._begin(owner, None, make)

    def __get__(self, owner: Shared, kind: type) -> "Words":
        return Words(owner, self._cell(owner), self.attribute)


class Words(Handle):
    """What a `words()` attribute gives: `cell(key)` for atomically(), `values()` for rules."""

    __slots__ = ("attribute", "collection", "owner")

    def __init__(self, owner: Shared, collection: Cell, attribute: str) -> None:
        self.owner = owner
        self.collection = collection
        self.attribute = attribute

    def cell(self, key: Hashable, name: str) -> Cell:
        """The word of a key; `name` is for traces."""
        place = self.attribute, key
        cell = self.owner._cells.get(place)
        if cell is None:
            execution = current_execution()
            cell = Cell(execution.store, name, atomic=True, collection=self.collection.number)
            execution.cells.append(cell)
            self.owner._cells[place] = cell
        return cell

    def values(self) -> list[Any]:
        """All that were ever used, for rules: reads the collection as a whole."""
        watch = observing()
        if watch is None:
            raise ModelError("only rules look at all words at once")
        return list(watch.read(self.collection.number))


def known_words(owner: Shared, attribute: str) -> dict[Any, Cell]:
    """The words of a collection that were ever used, by key, past the collection: no access."""
    return {
        place[1]: cell
        for place, cell in owner._cells.items()
        if isinstance(place, tuple) and place[0] == attribute
    }
