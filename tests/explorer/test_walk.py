"""Random schedules."""

from itertools import pairwise

import pytest

from pfnlab.explorer.policy import Policy
from pfnlab.explorer.walk import Pct, RandomWalk
from tests.explorer.small_programs import philosophers, schedules_of, search, writers

WALKS = pytest.mark.parametrize("walk", [RandomWalk, Pct])


@WALKS
def test_the_same_seed_gives_the_same_schedules(walk: type) -> None:
    assert schedules_of(philosophers(4), walk(seed=7), 30) == schedules_of(
        philosophers(4), walk(seed=7), 30
    )


@WALKS
def test_another_seed_gives_other_schedules(walk: type) -> None:
    assert schedules_of(philosophers(4), walk(seed=7), 30) != schedules_of(
        philosophers(4), walk(seed=8), 30
    )


@WALKS
@pytest.mark.parametrize("seed", range(3))
def test_a_walk_finds_the_deadlock_of_three_philosophers(walk: type, seed: int) -> None:
    result = search(philosophers(3), walk(seed=seed), 150)

    assert result.violation is not None
    assert result.violation.rule == "no_deadlock"
    assert result.schedule == "p0:1,p1:1,p2:1"
    assert 0 < result.failing < result.schedules == 150
    assert result.seed == seed


@pytest.mark.parametrize("policy", [RandomWalk(), Pct()], ids=["random", "pct"])
def test_a_walk_is_never_complete(policy: Policy) -> None:
    result = search(writers(1), policy, 5)

    assert (result.schedules, result.complete, result.verdict) == (5, False, "incomplete")
    assert result.why_incomplete == "stopped after 5 schedules"


def test_a_random_walk_goes_to_every_schedule_of_a_small_program() -> None:
    assert len(set(schedules_of(writers(2, 2), RandomWalk(), 100))) == 6


def test_a_walk_counts_its_steps_as_its_program_does() -> None:
    assert search(writers(2, 3), RandomWalk(), 4).steps == 5


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_pct_interrupts_a_task_less_often_than_its_depth(depth: int) -> None:
    schedules = schedules_of(writers(4, 4, 4), Pct(depth=depth), 60)

    assert max(map(interruptions, schedules)) == depth - 1


def interruptions(schedule: tuple[int, ...]) -> int:
    """How often a task was left that had steps to make."""
    return sum(
        before != after and before in schedule[place + 1 :]
        for place, (before, after) in enumerate(pairwise(schedule))
    )
