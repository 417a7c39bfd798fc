"""Schedules as text: "config:1,vcpu:5,config:2".

Each part names a task and how many steps it makes before the next part begins.  The
steps are those of the printed trace.  Choices that a task made follow in brackets, in
order: "vcpu:5[1]".  Schedules joined by ";" are run one after the other.

"Vma.vm_flags!vcpu:5": accesses to that plain field are steps here, as tasks race for it
and no_data_race is left out.
"""

import re
from typing import NamedTuple

from pfnlab.engine.errors import BadSchedule
from pfnlab.engine.execution import Execution
from pfnlab.engine.program import NAME
from pfnlab.engine.task import Task

_PART = re.compile(rf"({NAME}):(\d{{1,9}})(?:\[(\d{{1,9}}(?:\.\d{{1,9}})*)\])?")


def split_racing(text: str) -> tuple[frozenset[str], str]:
    """The fields that race, and the schedule without them."""
    *racing, schedule = text.split("!")
    return frozenset(racing), schedule


def join_racing(racing: frozenset[str], schedule: str) -> str:
    return "!".join([*sorted(racing), schedule])


class Part(NamedTuple):
    task: str
    steps: int
    choices: tuple[int, ...] = ()


def parse_schedule(text: str) -> list[Part]:
    """Parts of one schedule; raises BadSchedule."""
    parts = []
    for item in text.split(","):
        match = _PART.fullmatch(item.strip())
        if match is None:
            raise BadSchedule(
                f"cannot read {item.strip()!r} in schedule {text!r}: "
                "write TASK:STEPS,TASK:STEPS,... as a counterexample prints it"
            )
        choices = tuple(int(choice) for choice in (match[3] or "").split(".") if choice)
        parts.append(Part(match[1], int(match[2]), choices))
    return parts


def format_schedule(parts: list[Part]) -> str:
    """The text of a schedule; neighbours of one task become one part."""
    moved = {part.task for part in parts if part.steps}
    merged: list[Part] = []
    for task, steps, choices in parts:
        # "vcpu:0" is a task that has begun and made no step: it may have read plain fields.
        if not steps and task in moved:
            continue
        if merged and merged[-1].task == task:
            last = merged.pop()
            merged.append(Part(task, last.steps + steps, last.choices + choices))
        else:
            merged.append(Part(task, steps, choices))
    return ",".join(
        f"{task}:{steps}" + (f"[{'.'.join(map(str, choices))}]" if choices else "")
        for task, steps, choices in merged
    )


def schedule_of(execution: Execution) -> str:
    """The schedule that an execution has followed so far."""
    tasks = execution.program.tasks
    parts = []
    for event in execution.events:
        chosen = (event.choice,) if event.options > 1 else ()
        parts.append(Part(tasks[event.task].name, event.steps, chosen))
    return format_schedule(parts)


def tell_schedule(error: Exception, execution: Execution) -> None:
    """Add to an error of a task or a rule what led to it, if more than one task has moved."""
    schedule = schedule_of(execution)
    if "," in schedule and getattr(error, "__notes__", None):
        error.add_note(f"after {join_racing(execution.program.racing, schedule)}")


def follow(execution: Execution, text: str, *, late: bool = True) -> None:
    """Restart an execution and run it along a schedule; raises BadSchedule if it does not fit.

    The code of a task begins when the schedule first names it.  A search begins it at once, and
    that must make no difference.
    """
    parts = parse_schedule(text) if text else []
    tasks = {task.name: task for task in execution.program.tasks}
    execution.restart(late=late)
    for part in parts:
        if part.task not in tasks:
            known = ", ".join(tasks)
            raise BadSchedule(f"schedule names task {part.task!r}; this scenario has {known}")
        _follow_part(execution, tasks[part.task], part)
    if execution.violation is None:
        execution.begin_all()


def _follow_part(execution: Execution, task: Task, part: Part) -> None:
    choices = list(part.choices)
    execution.begin(task)
    goal = task.steps + part.steps
    pending = execution.pending[task.index]
    if not part.steps and pending is not None and not pending.counted:
        execution.fire(task, 0)
    while task.steps < goal and execution.violation is None:
        done = f"{task.name} has made {task.steps} of the {goal} steps that the schedule gives it"
        pending = execution.pending[task.index]
        if pending is None and task.finished:
            raise BadSchedule(f"{done}, and has ended")
        if not execution.ready(task):
            execution.begin_all()  # it may wait for one that ends without a step
        if not execution.ready(task):
            waits = f"waits in {pending.verb}" if pending is not None else "is stopped"
            raise BadSchedule(f"{done}, and {waits}")
        assert pending is not None
        choice = 0
        if pending.options > 1:
            if not choices:
                raise BadSchedule(f"{done}, and must choose: write {task.name}:N[CHOICE]")
            choice = choices.pop(0)
            if choice >= pending.options:
                raise BadSchedule(f"{task.name} has no choice {choice} in {pending.verb}")
        execution.fire(task, choice)
    if choices and execution.violation is None:
        raise BadSchedule(f"{task.name} never makes choice {choices[0]} that the schedule gives it")
    if task.steps > goal and execution.violation is None:
        raise BadSchedule(
            f"{task.name} cannot stop after step {goal}: its next place to wait is after "
            f"step {task.steps}"
        )
