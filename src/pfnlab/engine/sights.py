"""What a task has learned since it began to try, and whether it has changed since.

A sight is a cell and something about it: its value, or whether a trylock would succeed.
To take a lock and to release it teaches a task nothing.
"""

from collections.abc import Callable
from typing import Any, NamedTuple, final

from pfnlab.engine import operation as op_
from pfnlab.engine.fire import free_to_read, free_to_write
from pfnlab.engine.label import READ, WATCHED, Label
from pfnlab.engine.operation import Operation
from pfnlab.engine.store import Store

Look = Callable[[Any], Any]  # a value of the cell to what the task sees of it


class Done(NamedTuple):
    """An operation that a task has made, its result, and the event that it belongs to.

    step   its number in a trace, where there is one; that of the step before, if it is not shown
    """

    op: Operation
    result: Any
    event: int
    step: int = 0

    @property
    def shown(self) -> bool:
        """Whether it has a line of its own in a trace."""
        if self.op.plain:
            return self.op.target is not None and getattr(self.op.target, "traced", False)
        return self.op.counted


def _value(value: Any) -> Any:
    return value


def _looks(op: Operation, task: int) -> list[tuple[int, str, Look]]:
    """The sights of an operation."""
    code = op.code
    if code == op_.TRYLOCK:
        return [(op.number, "trylock", lambda owner: owner is None)]
    if code == op_.DOWN_READ_TRYLOCK:
        return [(op.number, "read_trylock", lambda held: free_to_read(held, task))]
    if code == op_.DOWN_WRITE_TRYLOCK:
        return [(op.number, "write_trylock", free_to_write)]
    if code in (op_.READ, op_.WRITE, op_.REPLACE, op_.RACY, op_.WAIT):
        return [(op.number, "", _value)]
    if code in (op_.PLAIN_READ, op_.PLAIN_WRITE, op_.PEEK):
        return [(op.number, "", _value)]
    if code == op_.ATOMIC:
        return [(cell, "", _value) for cell in op.cells]
    return []


def _before(store: Store, done: Done, cell: int) -> Any:
    op = done.op
    if op.plain or op.code in (op_.REPLACE, op_.RACY):
        return done.result
    return store.value_at(cell, done.event)


def _after(store: Store, done: Done, cell: int) -> Any:
    op = done.op
    if op.plain or op.code in (op_.REPLACE, op_.RACY):
        return op.act(done.result) if op.act is not None else done.result
    return store.value_at(cell, done.event + 1)


@final
class Sights:
    """The sights of a task, and what it saw of each at first."""

    def __init__(self, store: Store, trail: list[Done], task: int) -> None:
        self.store = store
        self.first: dict[tuple[int, str], tuple[Look, Any]] = {}
        self.disturbed = False
        last: dict[tuple[int, str], Any] = {}
        seen: dict[int, list[str]] = {}  # what of each cell
        for done in trail:
            for cell, what, look in _looks(done.op, task):
                now = look(_before(store, done, cell))
                if (cell, what) not in last:
                    self.first[cell, what] = (look, now)
                    seen.setdefault(cell, []).append(what)
                elif last[cell, what] != now:
                    self.disturbed = True
                last[cell, what] = now
            if done.op.code in (op_.MONITOR, op_.INIT):
                continue
            changed = done.op.cells if done.op.code == op_.ATOMIC else (done.op.number,)
            for cell in changed:
                for what in seen.get(cell, ()):
                    last[cell, what] = self.first[cell, what][0](_after(store, done, cell))

    def changed(self) -> bool:
        values = self.store.values
        return self.disturbed or any(
            look(values[cell]) != first for (cell, _what), (look, first) in self.first.items()
        )

    def label(self) -> Label:
        """Of the wait for a change."""
        modes = {cell: WATCHED if what else READ for cell, what in self.first}
        return Label(tuple(modes.items()), blocking=True)


__all__ = ["Done", "Sights"]
