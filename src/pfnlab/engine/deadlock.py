"""Tasks that wait for each other."""

from collections.abc import Sequence
from typing import Any

from pfnlab.engine import operation as op_
from pfnlab.engine.fire import ready
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Rule
from pfnlab.engine.store import Store
from pfnlab.engine.task import Task

NO_DEADLOCK = Rule("no_deadlock", "Tasks wait for each other for ever.", "L2")
NO_LIVELOCK = Rule(
    "no_livelock", "A task goes round in circles: nothing it looks at will ever change.", "L1"
)
ENDS = Rule("every_task_ends", "A task does not end within the step limit.", "L1")

Pending = Sequence[Operation | None]  # of each task


def blockers_of(store: Store, op: Operation | None, task: int) -> list[int]:
    """The tasks that must let go before this one can make its step."""
    if op is None or not op.waits or store.parked[task] or ready(store, op, task):
        return []
    value: Any = store.values[op.number] if op.number >= 0 and op.code != op_.JOIN else None
    if op.code in (op_.LOCK, op_.COND_WAKE):
        return [value] if value is not None else []
    if op.code == op_.DOWN_READ:
        if value.writer is not None:
            return [value.writer]
        return [other for other in value.queued if other != task]
    if op.code == op_.DOWN_WRITE:
        return [value.writer] if value.writer is not None else list(dict.fromkeys(value.readers))
    return [op.number] if op.code == op_.JOIN else []


def waiting_cycle(store: Store, pending: Pending, start: int) -> list[int]:
    """Tasks of which each waits for the next and the last for `start`; empty if none.

    Every wait here needs all of its blockers to let go, so one cycle is enough.
    """
    path: list[int] = []
    seen = {start}

    def leads_back(task: int) -> bool:
        op = pending[task]
        if op is not None and op.signal >= 0:
            return False  # a signal may still end this wait
        path.append(task)
        for holder in blockers_of(store, op, task):
            if holder == start:
                return True
            if holder >= 0 and holder not in seen:
                seen.add(holder)
                if leads_back(holder):
                    return True
        path.pop()
        return False

    return path if leads_back(start) else []


def describe(
    store: Store, pending: Pending, tasks: Sequence[Task], waiting: list[int]
) -> tuple[str, ...]:
    """One line for each waiting task: what for, held by whom since which step."""
    lines = []
    for index in waiting:
        op = pending[index]
        if op is None or op.target is None:
            continue
        held = []
        for other in blockers_of(store, op, index):
            holder = tasks[other]
            hold = holder.holds(op.target)
            if hold is None:
                held.append(f"{holder.name}, which waits for it in front")
            else:
                how = f" for {hold.mode}" if hold.mode else ""
                held.append(f"{holder.name}{how} since step {hold.step}")
        by = " and ".join(held) if held else "nobody that will let go"
        lines.append(f"{tasks[index].name} waits in {op.verb} for {op.target.name}, held by {by}.")
    return tuple(lines)
