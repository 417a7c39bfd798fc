"""What is declared wrongly is said at once, and where."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from pfnlab.engine import ModelError, Program, Shared, invariant, scenario, start, word
from pfnlab.engine.declared import difference
from tests.engine.runs import run


class Device(Shared):
    x = word(0)


def test_a_task_takes_nothing() -> None:
    program = Program()

    with pytest.raises(ModelError, match=r"task a, at line \d+, must take \(\), not \(x\)"):
        program.add_task("a", lambda x: x)

    program.add_task("b", lambda x=1: x)


def test_a_scenario_takes_the_lab() -> None:
    def alone() -> None:
        """Nothing."""

    with pytest.raises(ModelError, match=r"scenario alone, at line \d+, must take \(lab\), not"):
        scenario(alone)  # type: ignore[arg-type]


def test_a_rule_is_a_generator() -> None:
    def tells(lab: Any) -> bool:
        """It holds."""
        return bool(lab)

    with pytest.raises(ModelError, match="rule tells must yield its evidence"):
        invariant(tells)  # type: ignore[arg-type]


def test_rules_are_given_one_by_one() -> None:
    @invariant
    def holds(lab: Any) -> Iterator[str]:
        """It holds."""
        yield from ()

    with pytest.raises(ModelError, match=r"write always\(\*RULES\)"):
        Program().always([holds])  # type: ignore[arg-type]


def test_a_task_cannot_be_declared_by_a_task() -> None:
    def build(program: Program) -> None:
        program.add_task("a", lambda: program.add_task("b", lambda: None))

    with pytest.raises(ModelError, match=r"task b is declared by a task: .* lazy=True"):
        run(build)


def test_a_task_that_was_started_is_named() -> None:
    def build(program: Program) -> None:
        program.add_task("lazy", lambda: None, lazy=True)

        @program.task
        def twice() -> None:
            start("lazy")
            start("lazy")

    with pytest.raises(ModelError, match=r"start\('lazy'\): it was started before"):
        run(build, "twice:2")


def writer(device: Device, value: int) -> Callable[[], None]:
    def write() -> None:
        device.x = value

    return write


def write_to(device: Device, value: int = 0) -> None:
    device.x = value


def test_tasks_that_differ_are_not_interchangeable() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("a", writer(device, 1))
        program.add_task("b", writer(device, 1))
        program.add_task("c", writer(device, 2))
        program.interchangeable("a", "b", "c")

    with pytest.raises(ModelError, match="tasks b and c are not alike: they differ in a value: 1"):
        run(build)


def test_functions_are_alike_if_their_code_and_their_values_are() -> None:
    def build(program: Program) -> None:
        one, other = Device(), Device()
        assert difference(writer(one, 1), writer(one, 1)) == ""
        assert "device" in difference(writer(one, 1), writer(other, 1))
        assert difference(lambda: 1, lambda: 2) == "in their code"
        assert difference(partial(write_to, one, value=1), partial(write_to, one, value=1)) == ""
        assert difference(partial(write_to, one), partial(write_to, one, 1)) == "in their arguments"
        assert "1 and 2" in difference(partial(write_to, one, 1), partial(write_to, one, 2))
        assert difference(lambda x=1: x, lambda x=2: x) != ""
        assert difference(one.__repr__, one.__repr__) == ""

    run(build)
