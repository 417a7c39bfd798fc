"""The reduction against brute force, on random programs over every event there is."""

import random

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.explorer.all_events import Lab, RandomProgram, random_program
from tests.explorer.brute_force import Found, TooMany, brute_force, search_all

TOO_BIG = 500  # partial traces


def compared(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def brute(program: RandomProgram) -> Found:
    try:
        return brute_force(program, TOO_BIG, Lab)
    except TooMany:
        assume(False)
        raise


def agree(program: RandomProgram) -> None:
    """Both find the same traces, with the same final states, results, and rules that broke."""
    every = brute(program)
    found = search_all(program, Lab)
    assert len(found.outcomes) == len(every.outcomes)
    assert found.outcomes == every.outcomes
    assert found.verdicts == every.verdicts
    if not found.fell_back:
        assert found.twice == 0
        assert program.retries or found.given_up == 0


def agree_without_sequences(program: RandomProgram, **how: object) -> None:
    every = brute(program)
    assert search_all(program, Lab, **how).outcomes == every.outcomes


PROGRAMS = st.builds(random_program, st.randoms(use_true_random=False))


@pytest.mark.slow
@compared(500)
@given(PROGRAMS)
def test_every_trace_of_a_random_program_comes_exactly_once(program: RandomProgram) -> None:
    agree(program)


def agree_on_seeds(first: int, number: int) -> int:
    """How many programs were small enough."""
    done = 0
    for seed in range(first, first + number):
        program = random_program(random.Random(seed))
        try:
            every = brute_force(program, TOO_BIG, Lab)
        except TooMany:
            continue
        done += 1
        found = search_all(program, Lab)
        assert found.outcomes == every.outcomes, (seed, program)
        assert found.fell_back or found.twice == 0, (seed, program)
        assert found.fell_back or program.retries or found.given_up == 0, (seed, program)
    return done


@pytest.mark.parametrize("part", range(40))
def test_every_trace_of_four_random_programs_comes_exactly_once(part: int) -> None:
    assert agree_on_seeds(10_000 + 4 * part, 4) >= 2


@pytest.mark.slow
@pytest.mark.parametrize("part", range(8))
def test_every_trace_of_two_hundred_random_programs_comes_exactly_once(part: int) -> None:
    assert agree_on_seeds(20_000 + 220 * part, 220) >= 200


@pytest.mark.slow
@compared(150)
@given(PROGRAMS)
def test_source_dpor_loses_no_trace_of_a_random_program(program: RandomProgram) -> None:
    agree_without_sequences(program, optimal=False)


@pytest.mark.slow
@compared(150)
@given(PROGRAMS, st.integers(0, 4))
def test_a_search_that_falls_back_loses_no_trace(program: RandomProgram, limit: int) -> None:
    agree_without_sequences(program, limit=limit)


# Programs that lost traces, or had some twice, until the search was mended; each is as small
# as it could be made.
ONCE_WRONG = {
    "what a step sees when it comes first": (
        [("write", "x", 2), ("write", "y", 2)], [("both", "x"), ("add", "x", 1)], [("read", "x")],
    ),
    "a choice after a sequence that is covered": (
        [("section", "lock", "m1", [], "")], [("write", "x", 0)],
        [("read", "x"), ("choose", "x", [])],
        [("section", "lock", "m1", [], ""), ("write", "x", 0)],
    ),
    "a reader and a writer in front of it that both give up": (
        [("section", "read", "f1", [], "kept"), ("kill", "t1"),
         ("section", "write_kill", "f1", [], "downgrade")],
        [("kill", "t0"), ("section", "read_kill", "f1", [], "")],
    ),
    "three tasks that give up": (
        [("section", "read", "f1", [], "")],
        [("kill", "t2"), ("section", "write_kill", "f1", [], "")],
        [("kill", "t1"), ("section", "read_kill", "f1", [], "")],
    ),
    "a reader that has not gone in the other order": (
        [("section", "read_kill", "s1", [], "")],
        [("section", "write_kill", "s1", [], ""), ("kill", "t2")],
        [("section", "read", "s1", [], "")],
    ),
    "a signal that the other order does not need": (
        [("kill", "t1"), ("kill", "t2"), ("section", "read_kill", "s1", [], "")],
        [("kill", "t2"), ("section", "write_kill", "s1", [], "")],
        [("signal", "x")],
    ),
    "a task that waits for itself": ([("join", "t0"), ("wait", "x", 1)], [("write", "x", 1)]),
}  # fmt: skip


@pytest.mark.parametrize("code", ONCE_WRONG.values(), ids=list(ONCE_WRONG))
def test_what_was_once_wrong_is_right(code: tuple[list[tuple[object, ...]], ...]) -> None:
    agree(RandomProgram(list(code)))


def test_a_task_with_nothing_to_do_has_not_ended_before_it_is_started() -> None:
    agree(RandomProgram([[("join", "t1"), ("start", "t1")], []], frozenset({1})))


def test_who_waits_for_a_task_with_nothing_to_do_comes_after_its_start() -> None:
    code = [[("read", "x")], [("write", "x", 1), ("start", "t3"), ("read", "x")],
            [("join", "t3"), ("write", "x", 1)], []]  # fmt: skip
    agree(RandomProgram(code, frozenset({3})))


FALLEN_BACK = (
    [("read", "x")],
    [("read", "x"), ("write", "x", 1), ("section", "read_try", "s1", [], "kept")],
    [("section", "read", "s1", [], ""), ("read", "x")],
)


@pytest.mark.parametrize("limit", range(4))
def test_below_a_state_that_fell_back_nothing_is_taken_for_weakly_covered(limit: int) -> None:
    program = RandomProgram(list(FALLEN_BACK))

    assert search_all(program, Lab, limit=limit).outcomes == brute(program).outcomes
