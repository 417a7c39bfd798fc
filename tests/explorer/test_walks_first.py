"""A search that is not over soon makes random walks; they change no result."""

from typing import Any

import pytest

from pfnlab.engine.execution import Execution
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.policy import options
from pfnlab.explorer.search import WALK_AFTER, Reduced, Search
from pfnlab.explorer.walk import Aside, Pct, RandomWalk, walk
from tests.explorer.oracles import Lab, counter, last_zero, philosophers, searched

WALKS = pytest.mark.parametrize("policy", [RandomWalk, Pct])


def test_a_small_search_makes_no_walks() -> None:
    search = searched(philosophers(7))

    assert (search.schedules, search.walks) == (127, 0)


def test_a_late_deadlock_is_found_long_before_the_search_comes_to_it() -> None:
    depth_first = 0

    def note(search: Search, execution: Execution) -> None:
        nonlocal depth_first
        if execution.broken and not depth_first:
            depth_first = search.schedules

    search = Search(Lab, philosophers(9), Reduced, on_execution=note, seed=1)
    result = search.run()

    assert result.schedule == ",".join(f"p{place}:1" for place in range(9))
    assert (result.schedules, result.failing, depth_first) == (511, 1, 256)
    assert search.walks < 50


def test_what_a_walk_has_found_is_there_when_the_search_is_stopped_before_its_turn() -> None:
    result = searched(philosophers(9), schedules=WALK_AFTER).result  # type: ignore[attr-defined]

    assert (result.verdict, result.failing) == ("incomplete", 0)

    result = searched(philosophers(9), schedules=WALK_AFTER + 1).result  # type: ignore[attr-defined]

    assert result.schedule == ",".join(f"p{place}:1" for place in range(9))
    assert (result.schedules, result.failing, result.complete) == (WALK_AFTER + 1, 0, False)


@pytest.mark.parametrize("seed", range(3))
def test_walks_leave_the_search_as_it_was(seed: int) -> None:
    search = searched(last_zero(8), seed=seed)

    assert search.walks == 200
    assert (search.schedules, search.given_up) == (704, 0)  # (8 + 3) * 2 ** 6


@pytest.mark.slow
def test_walks_leave_a_search_with_locks_as_it_was() -> None:
    assert searched(counter(4, 2)).schedules == 2520  # 8! / 2 ** 4


def made(machine: Machine) -> tuple[list[Any], ...]:
    races = [(race.first, race.second) for race in machine.races]
    return [(event, event.past) for event in machine.events], races


def test_a_search_that_was_put_aside_goes_on_with_the_same_events_and_races() -> None:
    execution = Execution(Lab(), last_zero(4))
    machine = Machine(execution)
    walk(machine, RandomWalk(3))
    machine.undo(6)
    del machine.races[::2]  # as of those that are settled
    before = made(machine)

    aside = Aside(machine)
    for seed in range(5):
        walk(machine, RandomWalk(seed))
    aside.put_back()

    after = made(machine)
    assert after == before
    execution.end()


@WALKS
def test_walks_over_tries_are_the_walks_over_code(policy: type[RandomWalk | Pct]) -> None:
    execution, over_tries, over_code = Execution(Lab(), last_zero(3)), policy(7), policy(7)
    machine = Machine(execution)
    made = []
    for _ in range(10):
        walk(machine, over_tries)
        made.append([(event.task, event.choice, event.label) for event in machine.events])
    execution.end()

    execution = Execution(Lab(), last_zero(3))
    assert [run(execution, over_code) for _ in range(10)] == made
    execution.end()


def run(execution: Execution, policy: RandomWalk | Pct) -> list[object]:
    execution.restart()
    policy.begin()
    while enabled := options(execution):
        choice = policy.choose(execution, enabled)
        assert choice is not None
        execution.fire(execution.program.tasks[choice.task], choice.option)
    return [(event.task, event.choice, event.label) for event in execution.events]
