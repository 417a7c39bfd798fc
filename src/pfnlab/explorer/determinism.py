"""A scenario with hidden nondeterminism is an error that says where.

The same random schedule is run twice, the second time after others have run in
between, and once more in a new program.  All three must make the same steps.
"""

import random

from pfnlab.engine.errors import ModelError, Nondeterminism
from pfnlab.engine.execution import Execution
from pfnlab.engine.record import TraceStep
from pfnlab.explorer.policy import options
from pfnlab.explorer.replay import Build, MakeProgram

STEPS_COMPARED = 2_000


def check_determinism(make_program: MakeProgram, build: Build, seeds: int = 3) -> None:
    """Raise Nondeterminism if the same schedule does not always do the same."""
    first = Execution(make_program(), build, recording=True, whole_stacks=False)
    if first.failed_setup:
        return  # the search says which rule broke
    if not first.program.tasks:
        raise ModelError("the scenario declares no task, so there is nothing to run")
    runs = [_walk(first, seed) for seed in range(seeds)]
    again = [_walk(first, seed) for seed in range(seeds)]
    first.end()
    second = Execution(make_program(), build, recording=True, whole_stacks=False)
    fresh = [_walk(second, seed) for seed in range(seeds)]
    second.end()
    for run, others in zip(runs, zip(again, fresh, strict=True), strict=True):
        for other in others:
            _compare(run, other)


def _walk(execution: Execution, seed: int) -> list[TraceStep]:
    chance = random.Random(seed)
    execution.restart()
    recorder = execution.recorder
    assert recorder is not None
    while execution.violation is None and len(recorder.steps) < STEPS_COMPARED:
        enabled = options(execution)
        if not enabled:
            break
        choice = chance.choice(enabled)
        execution.fire(execution.program.tasks[choice.task], choice.option)
    return [step for step in recorder.steps if step.number]


def _compare(run: list[TraceStep], other: list[TraceStep]) -> None:
    for one, two in zip(run, other, strict=False):
        if one[:5] != two[:5]:
            raise Nondeterminism(
                f"hidden nondeterminism: step {one.number} of the same schedule was "
                f"{_words(one)}, and is now {_words(two)}; all shared state must be in fields",
                one.site,
            )
    if len(run) != len(other):
        longer = run if len(run) > len(other) else other
        extra = longer[min(len(run), len(other))]
        raise Nondeterminism(
            f"hidden nondeterminism: the same schedule ends without {_words(extra)} one time; "
            "all shared state must be in fields",
            extra.site,
        )


def _words(step: TraceStep) -> str:
    return f"'{step.task}: {step.verb} {step.detail}'".replace("  ", " ")
