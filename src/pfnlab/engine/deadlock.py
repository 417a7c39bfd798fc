"""Tasks that wait for each other."""

from collections.abc import Callable, Sequence
from typing import Any

from pfnlab.engine import operation as op_
from pfnlab.engine.fire import ready
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Rule
from pfnlab.engine.sights import Done
from pfnlab.engine.spin import obstacle
from pfnlab.engine.store import Store
from pfnlab.engine.task import Task

NO_DEADLOCK = Rule("no_deadlock", "Tasks wait for each other for ever.", "L2")
NO_LIVELOCK = Rule(
    "no_livelock", "A task goes round in circles: nothing it looks at will ever change.", "L1"
)
ENDS = Rule("every_task_ends", "A task does not end within the step limit.", "L1")

LONGEST_ROUND = 200  # steps of a loop that is looked for
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
    store: Store,
    pending: Pending,
    tasks: Sequence[Task],
    waiting: list[int],
    sites: Callable[[Task], str],
    cycle: bool,
) -> tuple[str, ...]:
    """The cycle, if these tasks are one; then of each what it waits for, and who has that.

    `sites` gives the source line at which a task waits.
    """
    lines = []
    if cycle and len(waiting) > 1:
        first, *others = [tasks[index].name for index in (*waiting, waiting[0])]
        lines.append(f"{first} waits for {', which waits for '.join(others)}.")
    for index in waiting:
        op, task = pending[index], tasks[index]
        if op is None or not op.waits or ready(store, op, index):
            continue
        verb, what = op.verb, f" for {op.target.name}" if op.target is not None else ""
        what = f" for {tasks[op.number].name}" if op.code == op_.JOIN else what
        others = [_holder(op, tasks[other]) for other in blockers_of(store, op, index)]
        if op.code == op_.JOIN:
            why = ", which does not end"
        elif others:
            why = f", held by {' and '.join(others)}"
        elif op.code in (op_.WAIT, op_.COND_WAKE):
            why = ", and nobody will wake it"
            if op.code == op_.COND_WAKE:  # it waits for its turn, and not for the lock
                verb, what = "wait", f" for {op.value}"
        else:
            why = ", held by nobody that will let go"
        lines.append(f"{task.name} waits in {verb}{what}{_at(sites(task))}{why}.")
    return tuple(lines)


def _holder(op: Operation, holder: Task) -> str:
    """Who has a lock: since which step, taken in which line."""
    hold = holder.holds(op.target)
    if hold is None:
        return f"{holder.name}, which waits for it in front"
    how = f" for {hold.mode}" if hold.mode else ""
    return f"{holder.name}{how} since step {hold.step}{_at(hold.site)}"


def _at(site: str) -> str:
    return f" ({site})" if site else ""


def describe_loop(tasks: Sequence[Task], index: int, trail: Sequence[Done], seen: str) -> str:
    """What a task looks at that tries again for ever, and the steps of a round."""
    name = tasks[index].name
    steps = [done.step for done in trail if done.shown]
    text = f"{name} will try again for ever; it looks at {seen}."
    if not steps:
        return text
    first, last = min(steps), max(steps)
    which = f"step {first}" if first == last else f"steps {first} to {last}"
    return f"{text} A round is {which} of {name}."


def describe_endless(task: Task, limit: int, what: str, trail: Sequence[Done]) -> str:
    """A task that has made too many steps, or others; and its loop, if it ends in one."""
    text = f"{task.name} has made more than {limit} {what}."
    shown = [(done.op.verb, done.op.number, str(done.result)) for done in trail if done.shown]
    for length in range(1, min(LONGEST_ROUND, len(shown) // 3) + 1):
        last, before, first = (shown[-length * back :][:length] for back in (1, 2, 3))
        if last == before == first:
            what = f"its last {length} steps" if length > 1 else "its last step"
            return f"{text} It repeats {what}, with the same results.{_no_wait(task, trail)}"
    return text


def _no_wait(task: Task, trail: Sequence[Done]) -> str:
    """Why a loop that only looks is not taken for a wait."""
    last = trail[-1]
    worker = task.worker
    if worker is None or not last.op.changed_nothing(last.result):
        return ""
    why = obstacle(worker.greenlet.gr_frame)
    return (
        f" It is taken for no wait, as {why}; wait_event() or try_again() says that it waits."
        if why
        else ""
    )
