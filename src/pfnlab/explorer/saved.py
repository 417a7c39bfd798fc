"""A counterexample to keep: its steps in words that survive edits of what it is about.

A schedule counts steps, so it is wrong as soon as a task makes one more.  What is saved besides
is what every step was about: the verb and the object.  follow.py goes by those.
"""

from dataclasses import dataclass
from typing import NamedTuple

from pfnlab.engine.execution import Execution
from pfnlab.engine.operation import JOIN, SPAWN, Operation
from pfnlab.engine.program import Program
from pfnlab.engine.schedule import follow, split_racing
from pfnlab.explorer.replay import Build, MakeProgram


class SavedStep(NamedTuple):
    """One visible step.

    step    its number in the trace; 0 for a task that begins, which is no step there
    choice  which of its options
    """

    step: int
    task: str
    verb: str
    object: str
    site: str
    choice: int = 0

    def __str__(self) -> str:
        return f"{self.verb} {self.object}".rstrip()


class Source(NamedTuple):
    """A design or scenario: its name, how the user named it, and a hash of its files."""

    name: str
    spec: str
    hash: str


@dataclass(frozen=True)
class Saved:
    """A counterexample, with all that it takes to follow it.

    pfnlab    the version that found it
    kernel    the profile that was asked for; None is the design's own
    rules     those that were checked; None is all of them
    rule      the one that broke
    runs      the steps of each execution: of all but a few rules one breaks them
    """

    pfnlab: str
    design: Source
    scenario: Source
    kernel: str | None
    rules: tuple[str, ...] | None
    rule: str
    schedule: str
    runs: tuple[tuple[SavedStep, ...], ...]


def steps_of(
    make_program: MakeProgram, build: Build, schedule: str
) -> tuple[tuple[SavedStep, ...], ...]:
    """What a schedule does, step by step, in each of its executions."""
    program = make_program()
    program.racing, text = split_racing(schedule)
    execution = Execution(program, build, recording=True, whole_stacks=True)
    try:
        return tuple(_steps(execution, part) for part in text.split(";"))
    finally:
        execution.end()


def _steps(execution: Execution, schedule: str) -> tuple[SavedStep, ...]:
    follow(execution, schedule)
    chosen = [(event.task, event.choice) for event in execution.events]
    execution.restart()
    steps: list[SavedStep] = []
    for index, choice in chosen:
        op = execution.pending[index]
        assert op is not None and execution.recorder is not None
        task = execution.program.tasks[index]
        site = execution.recorder.site(task)
        number = execution.steps + 1 if op.counted else 0
        name = object_of(execution.program, op)
        steps.append(SavedStep(number, task.name, op.verb, name, site, choice))
        execution.fire(task, choice)
    return tuple(steps)


def object_of(program: Program, op: Operation) -> str:
    """What an operation is about, by name."""
    if op.code in (SPAWN, JOIN):
        return program.tasks[op.number].name
    return op.target.name if op.target is not None else ""
