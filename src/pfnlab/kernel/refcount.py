"""Counters of references.  Drawn after lib/refcount.c: a change and its result are one step."""

from collections.abc import Callable

from pfnlab.engine.access import atomically
from pfnlab.engine.shared import Shared
from pfnlab.engine.word import word


def count(owner: Shared, counter: word[int], verb: str, change: Callable[[int], int]) -> int:
    """Change a counter of an object and return the new value; `verb` is what a trace calls it."""
    cell = counter.cell(owner)
    new: int = atomically(
        (cell,), verb, lambda old: ((change(old[0]),), change(old[0])),
        detail=lambda new: f"{cell.name} is {new}",
    )  # fmt: skip
    return new
