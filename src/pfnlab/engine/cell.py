"""A cell: one piece of shared state, with a number, a name and an undo log.

Everything that tasks share is a cell.  A cell's value is hashable and is replaced,
never changed in place, so that a write is undone by putting the old value back.
"""

from collections.abc import Callable
from typing import Any

from pfnlab.engine.clock import Clock, History


class Cell:
    """A value, and what the engine must know to order and undo accesses to it."""

    __slots__ = (
        "atomic",
        "clock",
        "collection",
        "field",
        "guard",
        "history",
        "name",
        "number",
        "published",
        "text",
        "traced",
        "value",
        "watched",
        "words",
    )

    def __init__(
        self,
        name: str,
        number: int,
        value: Any = None,
        *,
        atomic: bool = False,
        watched: bool = False,
        traced: bool = True,
        published: bool = False,
        guard: str = "",
        field: str = "",
        text: Callable[[Any], str] = str,
    ) -> None:
        self.name = name
        self.number = number
        self.value = value
        self.atomic = atomic  # every access is a visible step; never a data race
        self.watched = watched  # every write is a visible step, so that rules may read it
        self.traced = traced  # accesses are worth a line in a trace
        self.field = field  # as "Vma.vm_flags": which field of which class it is
        self.published = published  # also read without its lock, by who then sees what it holds
        self.guard = guard  # the lock that orders accesses, for messages
        self.words = ("reads", "read", "writes", "wrote")  # now and before, in messages
        self.collection = 0  # the bit of the collection that it is a member of
        self.text = text  # how a value is shown in a trace
        self.clock: Clock | None = None  # what a reader of an atomic word learns
        self.history = History()

    @property
    def bit(self) -> int:
        return 1 << self.number

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name}>"
