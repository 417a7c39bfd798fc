"""Ways to run a small program: along one schedule, or along all of them."""

import re
from collections.abc import Callable, Hashable
from typing import Any

from pfnlab.engine import Program
from pfnlab.engine.execution import Execution
from pfnlab.engine.schedule import follow
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.replay import replay
from pfnlab.explorer.result import Finding, Result
from pfnlab.explorer.search import Limits, Search

Build = Callable[[Any], None]


class Lab(Program):
    """A program that keeps what its rules look at."""

    device: Any


def run(build: Build, schedule: str = "", *, step_limit: int = 1_000) -> Execution:
    """One execution along a schedule, left where the schedule ends."""
    execution = Execution(Lab(), build, step_limit=step_limit)
    follow(execution, schedule)
    return execution


def broken(build: Build, schedule: str) -> Finding:
    """What the schedule breaks; fails if it breaks nothing."""
    finding = replay(Lab, build, schedule)
    assert finding is not None
    return finding


def every_run(build: Build, *, steps: int = 1_000) -> Result:
    """All interleavings, without reduction."""
    return Search(Lab, build, Exhaustive, Limits(steps=steps)).run()


def outcomes(build: Build, outcome: Callable[[], Hashable]) -> set[Hashable]:
    """What can come out: `outcome()` after each execution that broke no rule."""
    found: set[Hashable] = set()

    def note(_search: Search, execution: Execution) -> None:
        if execution.violation is None:
            found.add(outcome())

    result = Search(Lab, build, Exhaustive, on_execution=note).run()
    assert result.complete
    return found


def without_lines(evidence: tuple[str, ...]) -> tuple[str, ...]:
    """Evidence without the source lines of a test."""
    return tuple(re.sub(r" \(test_\w+\.py:\d+\)", "", line) for line in evidence)


def rules_broken(build: Build) -> list[str]:
    return [finding.violation.rule for finding in every_run(build).findings]


def enabled(execution: Execution) -> list[str]:
    """The names of the tasks that can make a step now."""
    return [task.name for task in execution.enabled()]


def values(execution: Execution) -> dict[str, Any]:
    """The state, by cell."""
    return {cell.name: cell.value for cell in execution.cells}
