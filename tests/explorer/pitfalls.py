"""What a search over locks gets wrong easily: each rule is taken out, and is missed.

mutants.py has the search without each of them; the programs are as small as they could be made.
A compiled core does not see what is put into its modules, so test_pitfalls.py runs these tests
with the interpreted one.
"""

from typing import Any

import pytest

from tests.explorer import mutants
from tests.explorer.all_events import Lab, RandomProgram
from tests.explorer.brute_force import Found, brute_force, search_all
from tests.explorer.literature import built

LOCK = ("section", "lock", "m1", [], "")
TRYLOCK = ("section", "trylock", "m1", [], "")


def program(*code: list[tuple[Any, ...]], ruled: bool = False) -> RandomProgram:
    return RandomProgram(list(code), ruled=ruled)


def without(mutant: mutants.Mutant, build: Any, **how: Any) -> Found:
    with mutant():
        return search_all(build, Lab, **how)


def lost(mutant: mutants.Mutant, build: Any, **how: Any) -> int:
    """How many traces are lost without a rule; none with it."""
    every = brute_force(build, program=Lab)
    assert search_all(build, Lab, **how).outcomes == every.outcomes
    return len(every.outcomes) - len(without(mutant, build, **how).outcomes)


def test_operations_that_are_blocked_at_the_end_race_too() -> None:
    waits = program([("add", "y", 1), ("add", "y", 1)], [("wait", "y", 1)])

    assert lost(mutants.without_blocked, waits) == 1
    assert lost(mutants.without_blocked, built("deadlock_hold:3")) == 2


def test_a_wait_races_with_more_than_the_newest_step_before_it() -> None:
    waits = program([("add", "x", 1)], [("add", "x", 1)], [("wait", "x", 0)])

    assert lost(mutants.immediate_only, waits) == 2


def test_who_stands_in_the_way_is_left_out_of_the_other_order() -> None:
    # The two readers need each other inside, so a writer comes before both or after both.
    readers = program(
        [("section", "read", "s1", [("wait", "y", 1), ("write", "x", 1)], "")],
        [("section", "read", "s1", [("write", "y", 1), ("wait", "x", 1)], "")],
        [("section", "write", "s1", [], "")],
    )

    assert lost(mutants.without_drop, readers) == 1


def test_the_options_of_a_choice_are_tried_only_where_it_is_met_first() -> None:
    chooses = program(
        [LOCK],
        [("choose", "x", [("choose", "y", [("write", "y", 1)])])],
        [("wait", "y", 1), TRYLOCK],
    )

    assert lost(mutants.choices_everywhere, chooses) == 0
    assert search_all(chooses, Lab).given_up == 0
    assert without(mutants.choices_everywhere, chooses).given_up == 4


def test_source_dpor_needs_strict_initials() -> None:
    assert lost(mutants.weak_sleep, built("lastzero:2"), optimal=False) == 2


def test_optimal_dpor_does_not() -> None:
    assert lost(mutants.weak_sleep, built("lastzero:4")) == 0


def test_a_trylock_that_fails_races_with_the_unlock_before_it() -> None:
    assert lost(mutants.trylock_ignores_unlocks, program([TRYLOCK], [LOCK])) == 1


def test_two_trylocks_that_fail_are_independent() -> None:
    build = built("trylock_vs_lock:2")

    assert len(search_all(build, Lab).outcomes) == 15
    assert len(without(mutants.failed_trylocks_conflict, build).outcomes) == 16


def test_a_race_may_have_to_be_looked_at_again() -> None:
    choice = program([LOCK], [("write", "x", 0)], [("read", "x"), ("choose", "x", [])],
                     [LOCK, ("write", "x", 0)])  # fmt: skip
    relabelled = program(
        [("write", "x", 2), ("write", "y", 2)], [("both", "x"), ("add", "x", 1)], [("read", "x")]
    )

    assert lost(mutants.always_settled, choice) == 2
    assert lost(mutants.always_settled, relabelled) == 1


@pytest.mark.parametrize("spec", ["lastzero:4", "abba:1", "trylock_vs_lock:2", "choice:2:3"])
def test_to_look_at_every_race_again_finds_nothing_more(spec: str) -> None:
    assert lost(mutants.never_settled, built(spec)) == 0


def test_nothing_is_planned_that_the_step_begins_that_is_being_explored() -> None:
    signals = program(
        [("kill", "t1"), ("kill", "t2"), ("section", "read_kill", "s1", [], "")],
        [("kill", "t2"), ("section", "write_kill", "s1", [], "")],
        [],
    )

    found = search_all(signals, Lab)

    assert (found.twice, found.given_up) == (0, 0)
    assert without(mutants.beside_the_current, signals).given_up == 1


def test_what_a_rule_looks_at_is_part_of_the_step() -> None:
    blinks = program(
        [("write", "x", 2), ("write", "x", 0)], [("write", "y", 2), ("write", "y", 0)], ruled=True
    )

    assert brute_force(blinks, program=Lab).verdicts == {frozenset(), frozenset({"never_both"})}
    assert search_all(blinks, Lab).verdicts == {frozenset(), frozenset({"never_both"})}
    assert without(mutants.blind_rules, blinks).verdicts == {frozenset()}
