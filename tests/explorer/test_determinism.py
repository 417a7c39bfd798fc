"""A scenario that depends on more than its cells is an error that says where."""

import random
import time
from collections.abc import Callable
from typing import Any

import pytest

from pfnlab import explore
from pfnlab.engine import Nondeterminism, Program, Scenario, Shared, field, word
from pfnlab.explorer.determinism import check_determinism
from pfnlab.explorer.search import Reduced
from tests.explorer.small_programs import philosophers, search


class Device(Shared):
    x = word(0)
    y = word(0)
    plain = field(0)


def task_of(run: Callable[[Device], object]) -> Callable[[Any], None]:
    """A program with one task that does something, after one that does nothing wrong."""

    def build(program: Program) -> None:
        device = Device()
        program.add_task("good", lambda: setattr(device, "y", 1))
        program.add_task("bad", lambda: run(device) and None)

    return build


def message(build: Callable[[Any], None]) -> str:
    with pytest.raises(Nondeterminism) as caught:
        check_determinism(Program, build)
    assert caught.value.place.startswith("test_determinism.py:")
    return caught.value.message


def test_state_in_an_ordinary_list_is_an_error() -> None:
    kept: list[int] = []

    def run(device: Device) -> None:
        kept.append(1)
        device.x = len(kept)

    text = message(task_of(run))

    assert text.startswith("hidden nondeterminism: step ")
    assert "'bad: write device1.x = 1', and is now 'bad: write device1.x = 4'" in text
    assert text.endswith("all shared state must be in fields")


def test_state_in_an_ordinary_dict_is_an_error() -> None:
    kept: dict[str, bool] = {}

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def bad() -> None:
            if "done" not in kept:
                device.x = 1
            kept["done"] = True

    assert message(build) == (
        "hidden nondeterminism: the same schedule ends without 'bad: write device1.x = 1' "
        "one time; all shared state must be in fields"
    )


def test_the_id_of_an_object_is_an_error() -> None:
    alive: list[object] = []

    def run(device: Device) -> None:
        alive.append(object())
        device.x = id(alive[-1])

    assert "bad: write device1.x" in message(task_of(run))


def test_chance_is_an_error() -> None:
    chance = random.Random(1)

    def run(device: Device) -> None:
        device.x = chance.random()  # type: ignore[assignment]

    assert "bad: write device1.x" in message(task_of(run))


def test_the_time_is_an_error() -> None:
    def run(device: Device) -> None:
        device.plain = time.perf_counter_ns()

    assert "bad: write device1.plain" in message(task_of(run))


def test_a_scenario_that_builds_another_program_each_time_is_an_error() -> None:
    built: list[int] = []

    def build(program: Program) -> None:
        built.append(1)
        device = Device()
        program.add_task("task", lambda: setattr(device, "x", len(built)))

    message(build)


def test_a_deterministic_scenario_passes() -> None:
    check_determinism(Program, philosophers(3))


def test_the_place_is_the_line_that_did_something_else() -> None:
    kept: list[int] = []

    def run(device: Device) -> None:
        kept.append(1)
        device.y = 2
        device.x = len(kept)

    with pytest.raises(Nondeterminism) as caught:
        check_determinism(Program, task_of(run))

    line = run.__code__.co_firstlineno + 3
    assert caught.value.place == f"test_determinism.py:{line}"


def test_the_reduction_notices_what_the_check_has_missed() -> None:
    kept: list[int] = []

    def build(program: Program) -> None:
        device = Device()

        def run() -> None:
            kept.append(1)
            if len(kept) % 3:
                device.x = 1
            else:
                device.y = 1
            device.x = 2

        program.add_task("one", run)
        program.add_task("two", run)

    with pytest.raises(Nondeterminism, match=r"test_determinism\.py:\d+: hidden nondeterminism"):
        search(build, Reduced())


class Label(Shared):
    number = word(0)
    text = word("one")
    other = word(0)


def test_code_that_fails_as_it_is_given_what_something_else_returned_is_nondeterminism() -> None:
    kept: list[int] = []

    def build(program: Program) -> None:
        label = Label()

        def reads() -> None:
            kept.append(1)
            if len(kept) == 1:
                label.number.bit_length()
            else:  # what `number` was is given for `text`
                label.text.upper()
            if label.other:
                label.other = 2

        program.add_task("reads", reads)
        program.add_task("writes", lambda: setattr(label, "other", 1))

    with pytest.raises(Nondeterminism, match=r"reads announced <read label1\.number> .* and now"):
        search(build, Reduced())


@pytest.mark.parametrize("policy", ["dpor", "source", "exhaustive", "random"])
def test_what_a_task_leaves_behind_before_its_first_step_is_an_error(policy: str) -> None:
    def build(program: Program) -> None:
        device = Device()
        left: set[str] = set()

        @program.task
        def leaver() -> None:
            left.add("leaver")
            device.x = 1

        @program.task
        def finder() -> None:
            device.y = 1
            assert "leaver" not in left

    with pytest.raises(Nondeterminism) as caught:
        explore(Scenario("build", "It leaves.", build), policy=policy)

    assert caught.value.message == (
        "hidden nondeterminism: finder:2 breaks assertion only if the code of all tasks begins "
        "before the first step; all shared state must be in fields"
    )
    assert caught.value.place.startswith("test_determinism.py:")
