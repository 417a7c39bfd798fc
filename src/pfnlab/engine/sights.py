"""What a task has learned since it began to try, and whether it has changed since.

A sight is a cell and what is seen of it: its value, or whether a trylock would succeed.
To take a lock and to release it teaches a task nothing.
"""

from typing import Any, Final, final

from pfnlab.engine import operation as op_
from pfnlab.engine.fire import free_to_read, free_to_write
from pfnlab.engine.label import READ, WATCHED, Label
from pfnlab.engine.operation import Operation
from pfnlab.engine.store import Store

# What is seen of a cell.
VALUE: Final = 0
MAY_LOCK: Final = 1
MAY_READ: Final = 2
MAY_WRITE: Final = 3

_SEES: Final = {
    op_.TRYLOCK: MAY_LOCK,
    op_.DOWN_READ_TRYLOCK: MAY_READ,
    op_.DOWN_WRITE_TRYLOCK: MAY_WRITE,
    **dict.fromkeys(
        (op_.READ, op_.WRITE, op_.REPLACE, op_.RACY, op_.WAIT, op_.PLAIN_READ, op_.PLAIN_WRITE,
         op_.PEEK, op_.ATOMIC),
        VALUE,
    ),
}  # fmt: skip
_WHAT: Final = [_SEES.get(code, -1) for code in range(op_.VIOLATE + 1)]


@final
class Done:
    """An operation that a task has made, its result, and the event that it belongs to.

    step   its number in a trace, where there is one; that of the step before, if it is not shown
    """

    def __init__(self, op: Operation, result: Any, event: int, step: int = 0) -> None:
        self.op: Final = op
        self.result: Final = result
        self.event: Final = event
        self.step: Final = step

    @property
    def shown(self) -> bool:
        """Whether it has a line of its own in a trace."""
        if self.op.plain:
            return self.op.target is not None and getattr(self.op.target, "traced", False)
        return self.op.counted

    @property
    def knows(self) -> bool:
        """Whether its result is what the cell held before."""
        return self.op.plain or self.op.code in (op_.READ, op_.REPLACE, op_.RACY)

    def before(self, store: Store, cell: int) -> Any:
        """What a cell held before it."""
        return self.result if self.knows else store.value_at(cell, self.event)

    def after(self, store: Store, cell: int) -> Any:
        if self.knows:
            return self.result if self.op.act is None else self.op.act(self.result)
        return store.value_at(cell, self.event + 1)


def _seen(what: int, value: Any, task: int) -> Any:
    if what == VALUE:
        return value
    if what == MAY_LOCK:
        return value is None
    return free_to_read(value, task) if what == MAY_READ else free_to_write(value)


@final
class Sights:
    """The sights of a task: a key is the number of a cell, and what is seen of it."""

    def __init__(self, store: Store, trail: list[Done], task: int) -> None:
        self.store: Final = store
        self.task: Final = task
        self.first: dict[int, Any] = {}  # what was seen at first,
        self.last: dict[int, Any] = {}  # and what the task itself has left
        # Somebody else has changed some of it since, or the task itself has and left it so: then
        # the next round begins in another way, or changes it again.
        self.disturbed = False
        for done in trail:
            op = done.op
            if op.code == op_.ATOMIC:
                for cell in op.cells:
                    self._look(done, cell, VALUE)
                for cell in op.cells:
                    self._change(done, cell)
            else:
                if _WHAT[op.code] >= 0:
                    self._look(done, op.number, _WHAT[op.code])
                if not (op.looks or op.code in (op_.MONITOR, op_.INIT)):
                    self._change(done, op.number)
        self.disturbed = self.disturbed or self.first != self.last

    def _look(self, done: Done, cell: int, what: int) -> None:
        key = cell << 2 | what
        now = _seen(what, done.before(self.store, cell), self.task)
        if key not in self.last:
            self.first[key] = now
        elif self.last[key] != now:
            self.disturbed = True
        self.last[key] = now

    def _change(self, done: Done, cell: int) -> None:
        for what in range(MAY_WRITE + 1):
            key = cell << 2 | what
            if key in self.last:
                self.last[key] = _seen(what, done.after(self.store, cell), self.task)

    def changed(self) -> bool:
        if self.disturbed:
            return True
        values = self.store.values
        for key, first in self.first.items():
            if _seen(key & 3, values[key >> 2], self.task) != first:
                return True
        return False

    def label(self) -> Label:
        """Of the wait for a change."""
        modes = {key >> 2: WATCHED if key & 3 else READ for key in self.first}
        return Label(tuple(modes.items()), blocking=True)


__all__ = ["Done", "Sights"]
