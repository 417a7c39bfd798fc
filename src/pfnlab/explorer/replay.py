"""A schedule followed once more, with its trace."""

from collections.abc import Callable
from typing import Any

from pfnlab.engine.errors import BadSchedule
from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.program import Program, Violation
from pfnlab.engine.record import TraceStep
from pfnlab.engine.schedule import follow, join_racing, schedule_of, split_racing
from pfnlab.explorer.race import racing_pair
from pfnlab.explorer.result import Finding, Held, Trace
from pfnlab.explorer.shortest import whole

Build = Callable[[Any], None]
MakeProgram = Callable[[], Program]


def replay(
    make_program: MakeProgram,
    build: Build,
    schedule: str,
    step_limit: int = STEP_LIMIT,
    *,
    late: bool = True,
) -> Finding | None:
    """Follow one schedule and record it; None if no rule breaks.  Raises BadSchedule.

    `late` is as in follow().

    Schedules joined by ";" are followed one after the other, for rules that only
    several executions break together.
    """
    program = make_program()
    program.racing, schedule = split_racing(schedule)
    execution = Execution(program, build, recording=True, step_limit=step_limit)
    followed: list[str] = []
    steps: list[TraceStep] = []
    try:
        for part in schedule.split(";"):
            follow(execution, part, late=late)
            if execution.violation is None and not execution.enabled():
                execution.finish()
            followed.append(schedule_of(execution))
            assert execution.recorder is not None
            steps += _worth_showing(execution.recorder.steps)
        _check_racing(program.racing, execution)
        violation = execution.violation or _broken_together(execution)
        if violation is None:
            return None
        return Finding(
            violation=violation,
            schedule=join_racing(program.racing, ";".join(followed)),
            steps=sum(step.number > 0 for step in steps),
            switches=whole(execution).switches,
            trace=_trace(execution, steps),
        )
    finally:
        execution.end()


def _check_racing(racing: frozenset[str], execution: Execution) -> None:
    known = {cell.field for cell in execution.cells}
    for name in sorted(racing):
        if not name or name not in known:
            raise BadSchedule(
                f"the schedule names {name!r} before a !: no plain field is called so"
            )


def _worth_showing(steps: list[TraceStep]) -> list[TraceStep]:
    """The numbered steps; and, where the last one races with it, what others did unseen.

    Of each other task only the newest such access: that is the one it races with.
    """
    last = steps[-1] if steps else None
    newest = {
        step.task: place
        for place, step in enumerate(steps)
        if last is not None
        and not step.number
        and step.word == last.word
        and step.task != last.task
        and (step.writes or last.writes)
    }
    return [s for place, s in enumerate(steps) if s.number or place in newest.values()]


def _broken_together(execution: Execution) -> Violation | None:
    for monitor in execution.program.monitors:
        left = monitor.leftover()
        if left is not None and execution.program.enforces(left.rule):
            return Violation(left.rule.name, left.rule.sentence, left.evidence, "", 0)
    return None


def _trace(execution: Execution, steps: list[TraceStep]) -> Trace:
    recorder = execution.recorder
    assert recorder is not None
    stopped = recorder.stopped
    return Trace(
        steps=tuple(steps),
        tasks=tuple(task.name for task in execution.program.tasks),
        held={
            task: tuple(Held(hold.lock.name, hold.mode, hold.step) for hold in holds)
            for broken in execution.broken[:1]
            for task, holds in broken.held.items()
        },
        call_trace=stopped.frames if stopped is not None else (),
        site=stopped.site if stopped is not None else "",
        race=racing_pair(recorder.steps),
    )
