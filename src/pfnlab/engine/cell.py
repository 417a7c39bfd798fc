"""A cell: one piece of shared state, with a number and a name.

Everything that tasks share is a cell.  A cell's value is hashable and is replaced, never
changed in place; the values themselves are in a Store (store.py).
"""

from collections.abc import Callable
from typing import Any

from pfnlab.engine.operation import Operation
from pfnlab.engine.store import Store


class Transparent:
    """An object whose whole state is in cells: the same one has nothing else to remember."""


class Handle:
    """What gives access to a cell, and has no state of its own; made anew for each use."""

    __slots__ = ()


class Cell:
    """What the engine and a reader of traces must know of one value."""

    __slots__ = (
        "atomic", "field", "guard", "name", "number", "operations", "published", "store", "text",
        "traced", "watched", "words",
    )  # fmt: skip

    def __init__(
        self,
        store: Store,
        name: str,
        value: Any = None,
        *,
        atomic: bool = False,
        watched: bool = False,
        traced: bool = True,
        published: bool = False,
        guard: str = "",
        field: str = "",
        collection: int = -1,
        text: Callable[[Any], str] = str,
    ) -> None:
        self.store = store
        self.number = store.new_cell(value, collection, plain=not atomic)
        self.name = name
        self.atomic = atomic  # every access is a visible step; never a data race
        self.watched = watched  # every write is a visible step, so that rules may read it
        self.traced = traced  # accesses are worth a line in a trace
        self.field = field  # as "Vma.vm_flags": which field of which class it is
        self.published = published  # also read without its lock, by who then sees what it holds
        self.guard = guard  # the lock that orders accesses, for messages
        self.words = ("reads", "read", "writes", "wrote")  # now and before, in messages
        self.text = text  # how a value is shown in a trace
        self.operations: dict[Any, Operation] = {}  # on it, those that are always the same

    @property
    def value(self) -> Any:
        return self.store.values[self.number]

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"


def show(value: Any) -> str:
    """A value in a trace."""
    if isinstance(value, tuple):
        return "[" + ", ".join(str(item) for item in value) + "]"
    return str(value)
