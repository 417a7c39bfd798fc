"""The estimate of how many executions there will be."""

from collections.abc import Callable

import pytest

from pfnlab.engine.execution import Execution
from pfnlab.explorer.estimate import Estimate, Progress, estimate
from pfnlab.explorer.search import Limits, Reduced, Search
from tests.explorer.oracles import Build, Lab, counter, last_zero, philosophers


def estimates(build: Build) -> list[Estimate]:
    """After each execution."""
    found: list[Estimate] = []

    def note(search: Search, _execution: Execution) -> None:
        last = search.progress().estimate
        assert last is not None
        found.append(last)

    Search(Lab, build, Reduced, on_execution=note).run()
    return found


class State:
    def __init__(self, left: int, since: int = 0) -> None:
        self.done, self.left, self.since = 0, left, since


def over(branches: Callable[[tuple[int, ...]], int]) -> list[float]:
    """The estimates along a depth-first search of a tree."""
    found: list[float] = []

    def visit(path: tuple[int, ...], states: list[State]) -> None:
        many = branches(path)
        if not many:
            found.append(estimate(states, len(found) + 1).total)
            return
        state = State(many, len(found))
        for place in range(many):
            visit((*path, place), [*states, state])
            state.done, state.left = place + 1, many - place - 1

    visit((), [])
    return found


def test_it_is_exact_from_the_first_execution_on_where_branches_are_alike() -> None:
    assert over(lambda path: (3, 2, 4, 0)[len(path)]) == [24] * 24
    assert {estimate.total for estimate in estimates(counter(5))} == {120}


def test_what_is_done_is_known_and_what_is_left_is_like_it() -> None:
    # The first branch has one end, the second three.
    assert over(lambda path: {(): 2, (1,): 3}.get(path, 0)) == [2, 4, 4, 4]


@pytest.mark.parametrize("build", [last_zero(6), last_zero(8), philosophers(7), counter(3, 2)])
def test_at_the_end_it_is_the_number_of_executions(build: Build) -> None:
    found = estimates(build)

    assert found[-1] == Estimate(len(found), len(found), len(found))


@pytest.mark.parametrize("build", [last_zero(6), last_zero(8), philosophers(7), counter(3, 2)])
@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.8])
def test_the_true_number_lies_in_the_interval(build: Build, share: float) -> None:
    found = estimates(build)

    estimate = found[int(share * len(found))]
    assert estimate.least <= len(found) <= estimate.most


def test_the_least_is_never_too_much() -> None:
    found = estimates(last_zero(8))

    assert all(estimate.least <= len(found) for estimate in found)


def test_halfway_it_is_right_within_a_third() -> None:
    found = estimates(last_zero(8))

    assert len(found) == 704
    assert found[352].total == pytest.approx(704, rel=0.3)


def test_what_is_left_in_seconds_follows_from_the_rate() -> None:
    progress = Progress(100, 2.0, Estimate(250, 120, 400), 0)

    assert (progress.rate, progress.left) == (50.0, 3.0)
    assert Progress(0, 0.0, None, 0).left is None
    assert Limits().depth is None


def test_a_tree_of_thousands_of_levels_has_an_estimate() -> None:
    assert estimate([State(2) for _ in range(5_000)], 1).total == 10**18
