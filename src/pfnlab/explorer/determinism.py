"""A scenario with hidden nondeterminism is an error that says where.

Before a search a random schedule is run, and then twice in a new program.  All three must make
the same steps; if not, more such runs, with a trace, look for the place.  After a search some
histories of each task are run again.
"""

import random
from collections.abc import Callable, Sequence
from typing import Any

from pfnlab.engine.errors import ModelError, Nondeterminism
from pfnlab.engine.execution import Execution
from pfnlab.engine.operation import PLAIN_WRITE, REPLACE, WRITE, Operation
from pfnlab.engine.record import TraceStep
from pfnlab.engine.schedule import tell_schedule
from pfnlab.explorer.policy import options
from pfnlab.explorer.replay import Build, MakeProgram
from pfnlab.explorer.trie import Trie

STEPS_COMPARED = 2_000
HISTORIES_COMPARED = 4  # of each task


def check_determinism(
    make_program: MakeProgram, build: Build, step_limit: int = STEPS_COMPARED
) -> None:
    """Raise Nondeterminism if the same schedule does not always do the same."""

    def execution(recording: bool = True) -> Execution:
        return Execution(
            make_program(), build, recording=recording, whole_stacks=False,
            step_limit=min(step_limit, STEPS_COMPARED),
        )  # fmt: skip

    first = execution()
    if first.failed_setup:
        return  # the search says which rule broke
    if not first.program.tasks:
        raise ModelError("the scenario declares no task, so there is nothing to run")
    one = _steps(first, 0)
    told = _told(first)
    first.end()
    second = execution(recording=False)  # to keep a trace takes time
    two, three = _steps(second, 0), _steps(second, 0)
    second.end()
    if not one == two == three:
        # What is kept elsewhere may have changed for good, so that only the first run differs.
        third = execution()
        again = _walk(third, 0)
        third.end()
        _compare(told, again)
        _find_place(execution)
        raise Nondeterminism(
            "hidden nondeterminism: the same schedule does something else when it is run again; "
            "all shared state must be in fields"
        )


def _steps(execution: Execution, seed: int) -> list[Any]:
    """What a random schedule does, operation by operation."""
    _run(execution, seed)
    return [
        (op.code, op.verb, _word(op.target), _word(_written(op, done.result)), done.event)
        for trail in execution.trails
        for done in trail
        for op in (done.op,)
    ]


def _written(op: Operation, result: Any) -> Any:
    """The value that an operation writes, if it alone decides."""
    if op.code == WRITE:
        return op.value
    return op.act(result) if op.code in (PLAIN_WRITE, REPLACE) and op.act is not None else None


def _word(value: Any) -> str:
    """A value, the same in every program."""
    return type(value).__name__ if " at 0x" in repr(value) else str(value)


def _find_place(execution: Callable[[], Execution], seeds: int = 3) -> None:
    first = execution()
    runs = [_walk(first, seed) for seed in range(seeds)]
    again = [_walk(first, seed) for seed in range(seeds)]
    first.end()
    second = execution()
    fresh = [_walk(second, seed) for seed in range(seeds)]
    second.end()
    for run, others in zip(runs, zip(again, fresh, strict=True), strict=True):
        for other in others:
            _compare(run, other)


def check_histories(tries: Sequence[Trie]) -> None:
    """Run the code of each task again along some histories that are known."""
    for trie in tries:
        nodes = trie.some_ends(HISTORIES_COMPARED)
        for node in nodes:
            trie.run_again(node)


def _walk(execution: Execution, seed: int) -> list[TraceStep]:
    _run(execution, seed)
    return _told(execution)


def _told(execution: Execution) -> list[TraceStep]:
    """The trace of what was just run."""
    assert execution.recorder is not None
    return [step for step in execution.recorder.steps if step.number]


def _run(execution: Execution, seed: int) -> None:
    chance = random.Random(seed)
    execution.restart()
    try:
        while execution.violation is None and execution.steps < STEPS_COMPARED:
            enabled = options(execution)
            if not enabled:
                break
            choice = chance.choice(enabled)
            execution.fire(execution.program.tasks[choice.task], choice.option)
    except Exception as error:
        tell_schedule(error, execution)
        raise


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
