"""What explore() and replay() are asked: anything wrong is one clear line."""

import math
from typing import Any

import pytest

from pfnlab import ModelError, explore, replay, scenario
from pfnlab.designs import remap_on_fault
from pfnlab.engine import Program, Rule, Shared, start, violate, word
from pfnlab.scenarios.faults import first_fault

OWN = Rule("own_rule", "A rule of this file.", "")


class Memory(Shared):
    value = word(0)


@scenario
def breaks_its_own(program: Program) -> None:
    """A task breaks a rule that only this file knows."""
    program.add_task("task", lambda: violate(OWN))


@pytest.mark.parametrize(
    ("rules", "message"),
    [
        ("R3", "rules is a list of names or numbers, as ['R3']"),
        (["r3"], "no rule is called 'r3'; did you mean 'R3'?"),
        (["typo"], "no rule is called 'typo'; docs/rules.md has them all"),
        ([3], "no rule is called 3"),
        ([], "rules is empty, so nothing would be checked"),
    ],
)
def test_rules_that_are_none_are_refused(rules: Any, message: str) -> None:
    for ask in (explore, lambda *what, **how: replay(*what, "vcpu:1", **how)):
        with pytest.raises(ModelError) as refused:
            ask(first_fault, remap_on_fault.design, rules=rules)
        assert str(refused.value).startswith(message)


def test_rules_may_come_from_anything_that_has_them_one_after_the_other() -> None:
    assert explore(first_fault, remap_on_fault.design, rules=iter(["R3"])).verdict == "FAIL"


def test_a_rule_of_the_file_of_a_scenario_is_known() -> None:
    assert explore(breaks_its_own, rules=["own_rule"]).verdict == "FAIL"
    assert explore(breaks_its_own, rules=["D1"]).verdict == "ok"


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [
        ("max_seconds", math.nan, "a number from 0"),
        ("max_seconds", -1, "a number from 0"),
        ("max_schedules", 0, "a whole number from 1"),
        ("max_schedules", "3", "a whole number from 1"),
        ("max_schedules", 2.5, "a whole number from 1"),
        ("preemptions", -1, "a whole number from 0"),
        ("depth", 0, "a whole number from 1"),
        ("step_limit", 0, "a whole number from 1"),
    ],
)
def test_a_limit_that_is_none_is_refused(name: str, value: Any, what: str) -> None:
    with pytest.raises(ModelError, match=f"^{name} must be {what} on, not {value!r}"):
        explore(first_fault, remap_on_fault.design, **{name: value})


def test_a_scenario_and_a_design_are_no_names() -> None:
    with pytest.raises(ModelError, match="'first_fault' is no scenario; find_scenario"):
        explore("first_fault")  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="'huge_fault' is no design; find_design"):
        explore(first_fault, "huge_fault")  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [SystemExit(0), GeneratorExit()])
def test_a_task_cannot_end_the_process(error: BaseException) -> None:
    def ends() -> None:
        raise error

    @scenario
    def one(program: Program) -> None:
        """A task raises what others take for the end."""
        program.add_task("task", ends)

    wanted = (
        f"test_verdict_arguments.py:[0-9]+: task task raised {type(error).__name__}: return instead"
    )
    with pytest.raises(ModelError, match=wanted):
        explore(one)


def test_an_error_in_a_task_says_in_which_and_after_what() -> None:
    @scenario
    def one(program: Program) -> None:
        """A task divides by what another one writes."""
        memory = Memory()
        program.add_task("writes", lambda: setattr(memory, "value", 1))
        program.add_task("divides", lambda: 1 // (1 - memory.value))

    with pytest.raises(ModelError, match=r" \(in task divides, after writes:1,divides:1\)$"):
        explore(one)


def test_a_task_cannot_catch_that_it_misuses_the_model() -> None:
    def catches() -> None:
        try:
            start("nobody")
        except Exception:
            return

    @scenario
    def one(program: Program) -> None:
        """A task starts one that there is not, and goes on."""
        program.add_task("task", catches)

    with pytest.raises(ModelError, match=r"test_verdict_arguments.py:[0-9]+: no task is called"):
        explore(one)


def test_a_task_is_started_once() -> None:
    def starts() -> None:
        start("lazy")
        start("lazy")

    @scenario
    def one(program: Program) -> None:
        """A task is started twice."""
        program.add_task("starts", starts)
        program.add_task("lazy", lambda: None, lazy=True)

    what = (
        r"test_verdict_arguments\.py:\d+: start\('lazy'\): it was started before, and begins only"
    )
    for policy in ("dpor", "exhaustive"):
        with pytest.raises(ModelError, match=what):
            explore(one, policy=policy)


def test_a_scenario_of_a_device_without_a_design_says_what_it_lacks() -> None:
    with pytest.raises(ModelError, match="a program without a design has no kernel: give one"):
        explore(first_fault)


def test_what_is_at_the_place_of_another_is_named() -> None:
    swapped: Any = (remap_on_fault.design, first_fault)
    with pytest.raises(ModelError) as refused:
        explore(*swapped)
    assert str(refused.value) == "design remap_on_fault is no scenario; a design comes second"
    twice: Any = (first_fault, first_fault)
    with pytest.raises(ModelError, match=r"^scenario first_fault is no design; find_design"):
        explore(*twice)


@pytest.mark.parametrize("schedule", [None, 3])
def test_a_schedule_is_a_text(schedule: Any) -> None:
    with pytest.raises(ModelError, match=r"^schedule is a text, as Result\.schedule, not "):
        replay(first_fault, remap_on_fault.design, schedule)
