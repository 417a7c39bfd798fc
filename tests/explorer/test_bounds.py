"""Bounded searches: what they leave out, and that they say so."""

import pytest

from pfnlab import explore
from pfnlab.engine import Program
from tests.explorer.oracles import Build, Memory, counter, last_zero, philosophers, scenario


@pytest.mark.parametrize("preemptions", [0, 1, 2])
@pytest.mark.parametrize("build", [philosophers(3), counter(2, 2), last_zero(2)])
def test_a_bound_on_preemptions_runs_what_the_oracle_runs(build: Build, preemptions: int) -> None:
    fast = explore(scenario(build), preemptions=preemptions)
    slow = explore(scenario(build), preemptions=preemptions, policy="exhaustive")

    assert (fast.schedules, fast.failing, fast.schedule, fast.complete) == (
        slow.schedules, slow.failing, slow.schedule, slow.complete,
    )  # fmt: skip


def test_switches_that_were_left_out_make_the_search_incomplete() -> None:
    result = explore(scenario(last_zero(2)), preemptions=0)

    assert (result.verdict, result.why_incomplete) == ("incomplete", "at most 0 preemptions")
    assert result.policy == "preemptions"


def test_a_bound_that_left_nothing_out_is_a_proof() -> None:
    result = explore(scenario(last_zero(2)), preemptions=6)

    assert (result.verdict, result.why_incomplete) == ("ok", "")


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_a_bound_on_depth_finds_what_lies_within(depth: int) -> None:
    result = explore(scenario(philosophers(3)), depth=depth)
    oracle = explore(scenario(philosophers(3)), depth=depth, policy="exhaustive")

    assert result.schedule == oracle.schedule == "p0:1,p1:1,p2:1"
    assert not result.given_up


@pytest.mark.parametrize("policy", ["dpor", "source", "exhaustive", "random", "pct"])
def test_executions_that_were_cut_short_make_the_search_incomplete(policy: str) -> None:
    result = explore(scenario(last_zero(2)), depth=1, policy=policy, max_schedules=100)

    assert result.verdict == "incomplete"
    assert "at most 1 step of each task" in result.why_incomplete or policy in ("random", "pct")
    assert result.steps == 3


def test_a_bound_on_depth_that_is_never_met_is_a_proof() -> None:
    result = explore(scenario(last_zero(2)), depth=4)

    assert (result.verdict, result.schedules) == ("ok", 5)


def test_tasks_that_wait_for_one_that_was_cut_short_are_in_no_deadlock() -> None:
    result = explore(scenario(counter(3)), depth=1)

    assert (result.verdict, result.why_incomplete) == ("incomplete", "at most 1 step of each task")


def test_a_task_that_is_cut_while_it_waits_leaves_a_search_incomplete() -> None:
    """Nobody lets the lock go now; somebody might have, had the task come to it earlier."""

    def build(program: Program) -> None:
        memory = Memory()

        def fails() -> None:
            memory.x = 1
            with memory.lock:
                memory.y = 1
            raise AssertionError

        def takes_twice() -> None:
            memory.lock.lock()
            memory.lock.lock()

        program.add_task("fails", fails)
        program.add_task("takes_twice", takes_twice)

    cut = explore(scenario(build), depth=1, rules=["assertion"])
    whole = explore(scenario(build), rules=["assertion"])

    assert (cut.verdict, cut.why_incomplete) == ("incomplete", "at most 1 step of each task")
    assert whole.verdict == "FAIL"
