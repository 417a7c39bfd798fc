"""Tasks that wait for each other."""

from pfnlab.engine.label import AWAIT
from pfnlab.engine.program import Rule
from pfnlab.engine.task import Task

NO_DEADLOCK = Rule("no_deadlock", "Tasks wait for each other for ever.", "L2")
NO_LIVELOCK = Rule(
    "no_livelock", "A task goes round in circles: nothing it looks at will ever change.", "L1"
)
ENDS = Rule("every_task_ends", "A task does not end within the step limit.", "L1")


def blockers_of(task: Task) -> list[Task]:
    """The tasks that must let go before this one can make its step."""
    operation = task.pending
    if operation is None or operation.blockers is None or task.parked or task.ready():
        return []
    return operation.blockers(task)


def tries_again(task: Task) -> bool:
    """Whether a task waits in try_again()."""
    operation = task.pending
    return (
        operation is not None
        and operation.blocked is not None
        and (operation.blocked.kind == AWAIT)
    )


def waiting_cycle(start: Task) -> list[Task]:
    """Tasks of which each waits for the next and the last for `start`; empty if none.

    Every wait here needs all of its blockers to let go, so one cycle is enough.
    """
    path: list[Task] = []
    seen = {start.index}

    def leads_back(task: Task) -> bool:
        operation = task.pending
        if operation is not None and operation.blocked and not operation.blocked.blocking:
            return False  # a signal may still end this wait
        path.append(task)
        for holder in blockers_of(task):
            if holder is start:
                return True
            if holder.index not in seen:
                seen.add(holder.index)
                if leads_back(holder):
                    return True
        path.pop()
        return False

    return path if leads_back(start) else []


def describe(waiting: list[Task]) -> tuple[str, ...]:
    """One line for each waiting task: what for, held by whom since which step."""
    lines = []
    for task in waiting:
        operation = task.pending
        if operation is None or operation.target is None:
            continue
        lock = operation.target
        held = []
        for holder in blockers_of(task):
            hold = holder.holds(lock)
            if hold is None:
                held.append(f"{holder.name}, which waits for it in front")
            else:
                how = f" for {hold.mode}" if hold.mode else ""
                held.append(f"{holder.name}{how} since step {hold.step}")
        by = " and ".join(held) if held else "nobody that will let go"
        lines.append(f"{task.name} waits in {operation.verb} for {lock.name}, held by {by}.")
    return tuple(lines)
