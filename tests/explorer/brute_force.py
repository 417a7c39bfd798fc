"""The second oracle: counts Mazurkiewicz traces, by a walk over all partial ones.

Two beginnings of executions are the same partial trace if every task has made the same
choices and every event has the same events before it.  Each is walked once, with the tasks'
real code, and nothing is left out by any argument about independence but that one.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pfnlab.engine import Program
from pfnlab.engine import operation as op_
from pfnlab.engine.cell import show
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import Label, dependent
from pfnlab.engine.operation import Operation
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.policy import Choice, options
from pfnlab.explorer.search import Search
from pfnlab.explorer.trie import history

Build = Callable[[Any], None]
Trace = tuple[tuple[Any, ...], ...]  # of each task, of each of its events: choice and clock


class TooMany(Exception):
    """The program is too big for brute force."""


class Step(NamedTuple):
    task: int
    choice: int
    label: Label
    op: Operation


class Clocks:
    """Happens-before of a growing list of steps, straight from its definition.

    A clock counts, for each task, its events that come before or are this one.
    """

    def __init__(self, tasks: int, after: list[int] | None = None) -> None:
        self.tasks = tasks
        self.after = after or [-1] * tasks  # whose first step a task waits for, or -1
        self.first: dict[int, int] = {}
        self.steps: list[Step] = []
        self.clocks: list[tuple[int, ...]] = []

    def add(self, step: Step) -> None:
        found = [0] * self.tasks
        for place, (earlier, clock) in enumerate(zip(self.steps, self.clocks, strict=True)):
            if (
                earlier.task == step.task
                or place == self.first.get(self.after[step.task])
                or dependent(earlier.label, step.label)
                or (earlier.op.code == op_.SPAWN and earlier.op.number == step.task)
                or (step.op.code == op_.JOIN and step.op.number == earlier.task)
                or (
                    step.op.code == op_.JOIN
                    and earlier.op.code == op_.SPAWN
                    and step.op.number == earlier.op.number
                )
            ):
                found = [max(pair) for pair in zip(found, clock, strict=True)]
        found[step.task] += 1
        if step.op.counted:
            self.first.setdefault(step.task, len(self.steps))
        self.steps.append(step)
        self.clocks.append(tuple(found))

    def trace(self) -> Trace:
        lines: list[list[Any]] = [[] for _ in range(self.tasks)]
        for step, clock in zip(self.steps, self.clocks, strict=True):
            lines[step.task].append((step.choice, clock))
        return tuple(tuple(line) for line in lines)


class Outcome(NamedTuple):
    """What came of an execution: final values, what tasks have learned, which have ended."""

    values: tuple[tuple[str, str], ...]
    results: tuple[tuple[Any, ...], ...]
    ended: tuple[bool, ...]
    rules: frozenset[str]


def values_of(execution: Execution) -> tuple[tuple[str, str], ...]:
    """The final state.  Some cells are made when they are used first, which may be elsewhere."""
    return tuple(
        sorted(
            (cell.name, show(cell.value))
            for cell in execution.cells
            if cell.value not in (None, False)
        )
    )


def outcome_of(execution: Execution, results: list[tuple[Any, ...]]) -> Outcome:
    return Outcome(
        values_of(execution),
        tuple(results),
        tuple(execution.store.ended),
        frozenset(broken.violation.rule for broken in execution.broken),
    )


@dataclass
class Found:
    """All maximal traces of a program, with what came of each."""

    outcomes: dict[Trace, Outcome] = field(default_factory=dict)
    partial: int = 0
    twice: int = 0  # traces that were met again
    given_up: int = 0
    fell_back: bool = False

    def note(self, trace: Trace, outcome: Outcome) -> None:
        if trace in self.outcomes:
            self.twice += 1
            assert self.outcomes[trace] == outcome, "one trace has two outcomes"
        self.outcomes[trace] = outcome

    @property
    def ended(self) -> int:
        """Traces in which every task has come to its end."""
        return sum(all(outcome.ended) for outcome in self.outcomes.values())

    @property
    def blocked(self) -> int:
        return len(self.outcomes) - self.ended

    @property
    def verdicts(self) -> set[frozenset[str]]:
        return {outcome.rules for outcome in self.outcomes.values()}


def brute_force(build: Build, most: int = 100_000, program: type[Program] = Program) -> Found:
    """Every partial trace once; TooMany if there are more than `most`."""
    execution = Execution(program(), build)
    tasks = len(execution.program.tasks)
    found = Found()
    seen: set[Trace] = set()
    present: list[Choice] = []
    clocks = Clocks(tasks)
    left: list[list[Choice]] = [[]]
    execution.restart()
    try:
        while left:
            schedule = left.pop()
            if schedule and schedule[:-1] == present:
                _fire(execution, clocks, schedule[-1])
            else:
                clocks = Clocks(tasks)
                execution.restart()
                for choice in schedule:
                    _fire(execution, clocks, choice)
            present = schedule
            trace = clocks.trace()
            if trace in seen:
                continue
            seen.add(trace)
            if len(seen) > most:
                raise TooMany
            enabled = options(execution)
            if not enabled:
                execution.finish()
                results = [tuple(done.result for done in trail) for trail in execution.trails]
                found.note(trace, outcome_of(execution, results))
            left += [[*schedule, choice] for choice in enabled]
    finally:
        execution.end()
    found.partial = len(seen)
    return found


def _fire(execution: Execution, clocks: Clocks, choice: Choice) -> None:
    op = execution.pending[choice.task]
    assert op is not None
    event = execution.fire(execution.program.tasks[choice.task], choice.option)
    clocks.add(Step(choice.task, choice.option, event.label, op))


# ---- what a search finds


def search_all(build: Build, program: type[Program] = Program, **how: Any) -> Found:
    """Every execution of the reduction, as `brute_force` gives them."""
    execution = Execution(program(), build)
    search = Optimal(execution, **how)
    found = Found()
    try:
        while search.next():
            if search.in_vain:
                found.given_up += 1
            else:
                found.note(trace_of(search), outcome_of(execution, results_of(search)))
    finally:
        execution.end()
    found.fell_back = search.fell_back
    return found


def trace_of(search: Optimal) -> Trace:
    """The present execution of a search; its clocks must be those of the definition."""
    machine = search.machine
    clocks = Clocks(machine.tasks, machine.after)
    for event in machine.events:
        clocks.add(Step(event.task, event.choice, event.label, event.node.op))
    for event, clock in zip(machine.events, clocks.clocks, strict=True):
        # A search has the events before it as bits.
        counted = [0] * machine.tasks
        for position, earlier in enumerate(machine.events):
            counted[earlier.task] += event.past >> position & 1
        assert tuple(counted) == clock, "the past of an event is wrong"
    return clocks.trace()


def results_of(search: Optimal) -> list[tuple[Any, ...]]:
    """Of each task, the results of all that it has done."""
    machine = search.machine
    found = []
    for task, actor in enumerate(machine.actors):
        node, newest = actor.node, actor.newest
        stopped = node.code == op_.END and machine.store.parked[task]
        found.append(tuple(history(newest.node if stopped and newest is not None else node)))
    return found


def noted(states: set[Any]) -> Callable[[Search, Execution], None]:
    """For Search(on_execution=...): collects what came of every execution that was not given up."""

    def note(search: Search, execution: Execution) -> None:
        reduced = search.reduced
        if reduced is not None:
            if not reduced.in_vain:
                states.add(outcome_of(execution, results_of(reduced)))
        elif not any(execution.ready(task) for task in execution.program.tasks):
            results = [tuple(done.result for done in trail) for trail in execution.trails]
            states.add(outcome_of(execution, results))

    return note
