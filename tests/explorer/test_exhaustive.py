"""The oracle: its counts are those of combinatorics."""

from itertools import pairwise
from math import factorial, prod

import pytest

from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.search import Reduced
from tests.explorer.small_programs import (
    choosers,
    every,
    philosophers,
    schedules_of,
    search,
    writers,
)


def multinomial(steps: tuple[int, ...]) -> int:
    return factorial(sum(steps)) // prod(factorial(times) for times in steps)


@pytest.mark.parametrize(
    ("steps", "count"),
    [((1,), 1), ((5,), 1), ((1, 1), 2), ((1, 1, 1, 1), 24), ((2, 2), 6), ((2, 3), 10),
     ((1, 2, 2), 30), ((2, 2, 2), 90), ((4, 4), 70)],
)  # fmt: skip
def test_tasks_that_do_not_touch_each_other_have_as_many_schedules_as_a_multinomial(
    steps: tuple[int, ...], count: int
) -> None:
    result = every(writers(*steps))

    assert count == multinomial(steps)
    assert (result.schedules, result.complete, result.verdict) == (count, True, "ok")


def test_no_schedule_comes_twice() -> None:
    found = schedules_of(writers(2, 2, 1), Exhaustive(), 1_000)

    assert len(found) == len(set(found)) == 30


def test_every_option_of_every_choice_comes_with_every_order() -> None:
    # Two tasks of two steps: 6 orders; two options each: 4 ways to choose.
    assert every(choosers(2, 2)).schedules == 24


def test_the_first_schedule_runs_one_task_after_the_other() -> None:
    assert schedules_of(writers(2, 2), Exhaustive(), 1) == [(0, 0, 1, 1)]


@pytest.mark.parametrize(("preemptions", "count"), [(0, 2), (1, 6), (2, 14), (3, 18), (4, 20)])
def test_a_bound_on_preemptions_counts_switches_away_from_tasks_that_could_go_on(
    preemptions: int, count: int
) -> None:
    result = search(writers(3, 3), Exhaustive(preemptions))

    assert result.schedules == count
    assert result.schedules == sum(
        preempted(schedule, 3) <= preemptions
        for schedule in schedules_of(writers(3, 3), Exhaustive(), 1_000)
    )


def preempted(schedule: tuple[int, ...], steps: int) -> int:
    """Switches away from a task that had steps left."""
    return sum(
        before != after and schedule[: place + 1].count(before) < steps
        for place, (before, after) in enumerate(pairwise(schedule))
    )


def test_a_bound_that_cut_something_off_makes_the_search_incomplete() -> None:
    result = search(writers(3, 3), Exhaustive(2))

    assert not result.complete
    assert result.verdict == "incomplete"
    assert result.why_incomplete == "at most 2 preemptions"


def test_a_bound_that_cut_nothing_off_leaves_the_search_complete() -> None:
    result = search(writers(3, 3), Exhaustive(4))

    assert (result.schedules, result.complete, result.why_incomplete) == (20, True, "")


def test_a_switch_away_from_a_task_that_waits_is_no_preemption() -> None:
    # p0 has its first fork and is interrupted; p2 takes its own and waits; so does p1.
    verdicts = [search(philosophers(3), Exhaustive(bound)).verdict for bound in range(3)]

    assert verdicts == ["incomplete", "FAIL", "FAIL"]


def test_all_independent_schedules_are_one_to_the_reduction() -> None:
    assert every(writers(2, 2, 2)).schedules == 90
    assert search(writers(2, 2, 2), Reduced()).schedules == 1
