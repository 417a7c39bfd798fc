"""Executions in which the code of tasks runs."""

import pytest

from pfnlab.engine.execution import Execution
from pfnlab.explorer.by_code import run_code, steps_of
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.keep import Kept
from tests.explorer.oracles import Build, Lab, counter, last_zero, philosophers


def runs(build: Build, depth: int | None = None) -> tuple[list[tuple[bool, bool, int]], Kept]:
    """Of every execution what run_code() returns, and its steps; and what was kept of all."""
    execution, policy, kept = Execution(Lab(), build), Exhaustive(), Kept()
    found = []
    while policy.begin():
        found.append((*run_code(execution, policy, kept, depth), steps_of(execution)))
    execution.end()
    return found, kept


def test_each_comes_to_its_end() -> None:
    found, kept = runs(last_zero(2))

    assert len(found) == 35  # 20 in which the reader is before the last write, 15 others
    assert {(finished, cut) for finished, cut, _steps in found} == {(True, False)}
    assert kept.failing == 0


@pytest.mark.parametrize("depth", [1, 2])
def test_no_task_makes_more_steps_than_it_may(depth: int) -> None:
    found, _kept = runs(counter(2, 2), depth)

    assert {cut for _finished, cut, _steps in found} == {True}
    assert max(steps for _finished, _cut, steps in found) <= 2 * depth


def test_what_breaks_is_kept_once_an_execution() -> None:
    found, kept = runs(philosophers(2))

    assert 0 < kept.failing < len(found)
    assert sum(kept.broke.values()) == kept.failing
    assert kept.rules() == {"no_deadlock"}
