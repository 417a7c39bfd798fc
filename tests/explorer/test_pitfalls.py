"""What a search over locks gets wrong easily."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from pfnlab.engine import Nondeterminism, Program, Shared, word
from pfnlab.explorer.search import Reduced, Search
from tests.explorer.all_events import Lab, RandomProgram
from tests.explorer.brute_force import brute_force, search_all

HERE = Path(__file__).parent
LOCK = ("section", "lock", "m1", [], "")
TRYLOCK = ("section", "trylock", "m1", [], "")


def program(*code: list[tuple[Any, ...]]) -> RandomProgram:
    return RandomProgram(list(code))


@pytest.mark.slow
def test_every_rule_is_missed_when_it_is_taken_out() -> None:
    ran = subprocess.run(
        [sys.executable, "-X", "pfnlab=interpreted", "-m", "pytest", "-q", "-p", "no:cacheprovider",
         str(HERE / "pitfalls.py")],
        cwd=HERE.parent.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert ran.returncode == 0, ran.stdout
    assert " passed" in ran.stdout


def test_a_trylock_fails_only_while_the_lock_is_held() -> None:
    found = search_all(program([TRYLOCK], [LOCK]), Lab)

    assert sorted(outcome.results[0] for outcome in found.outcomes.values()) == [
        (False,), (True, None), (True, None),
    ]  # fmt: skip


def test_a_trylock_is_never_blocked() -> None:
    kept = ("section", "lock", "m1", [], "kept")

    for outcome in search_all(program([TRYLOCK], [kept]), Lab).outcomes.values():
        assert outcome.ended[0]


def test_a_wake_up_that_comes_before_the_wait_wakes_nobody() -> None:
    # A general token to park on would let the waiter go in both orders.
    found = search_all(program([("cond", [])], [("wake", "x")]), Lab)

    assert (found.ended, found.blocked) == (1, 1)
    assert found.verdicts == {frozenset(), frozenset({"no_deadlock"})}


def test_one_wake_up_is_not_for_two() -> None:
    found = search_all(program([("cond", [])], [("cond", [])], [("wake", "x")]), Lab)

    assert found.ended == 0
    assert (
        brute_force(program([("cond", [])], [("cond", [])], [("wake", "x")]), program=Lab).outcomes
        == found.outcomes
    )


class Device(Shared):
    x = word(0)
    y = word(0)


def test_a_task_that_depends_on_more_than_its_history_is_an_error() -> None:
    kept: list[int] = []

    def build(program: Program) -> None:
        device = Device()

        def bad() -> None:
            kept.append(1)
            if len(kept) % 2:
                device.x = 1
            else:
                device.y = 1

        program.add_task("bad", bad)
        program.add_task("reader", lambda: (device.x, device.y))

    with pytest.raises(Nondeterminism, match="bad announced"):
        Search(Program, build, Reduced).run()
