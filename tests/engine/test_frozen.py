"""Functions of steps: a search calls them again when their tasks have gone on."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pfnlab.engine import ModelError, Program, Shared, update, wait_event, word
from pfnlab.engine.execution import Execution
from pfnlab.engine.frozen import frozen
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.search import Reduced, Search
from tests.engine.runs import run, values

Append = Callable[[Shared], None]


class Device(Shared):
    x = word(0)
    y = word(0)


def final_values(
    build: Callable[[Program], None], policy: Callable[[], Any], attribute: str = "x"
) -> set[int]:
    """What a word can be in the end."""
    found = set()

    def note(_search: Search, execution: Execution) -> None:
        found.add(values(execution)[f"device1.{attribute}"])

    assert Search(Program, build, policy, on_execution=note).run().complete
    return found


def in_a_loop(device: Shared) -> None:
    for digit in (1, 2):
        update(device, "x", lambda old: old * 10 + digit)  # noqa: B023 (that is the point)


def a_variable_that_changes(device: Shared) -> None:
    digit = 1
    update(device, "x", lambda old: old * 10 + digit)
    digit = 2
    update(device, "x", lambda old: old * 10 + digit)


def a_list_that_grows(device: Shared) -> None:
    digits = [1]
    update(device, "x", lambda old: old * 10 + digits[-1])
    digits.append(2)
    update(device, "x", lambda old: old * 10 + digits[-1])


def through_another_function(device: Shared) -> None:
    digit = 1

    def append(old: int) -> int:
        return old * 10 + digit

    update(device, "x", lambda old: append(old))  # noqa: PLW0108 (it captures another one)
    digit = 2
    update(device, "x", lambda old: append(old))  # noqa: PLW0108 (it captures another one)


@pytest.mark.parametrize(
    "append",
    [in_a_loop, a_variable_that_changes, a_list_that_grows, through_another_function],
)
def test_what_a_function_captures_is_what_it_was_at_its_step(append: Append) -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("twice", lambda: append(device))
        program.add_task("once", lambda: update(device, "x", lambda old: old * 10 + 5))

    for policy in (Reduced, lambda: Reduced(optimal=False), Exhaustive):
        assert final_values(build, policy) == {125, 152, 512}


def test_a_wait_waits_for_what_it_captured() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def wait() -> None:
            turn = 0
            while turn < 2:
                turn += 1
                wait_event(device, "x", lambda value: value >= turn)  # noqa: B023
                update(device, "y", lambda old: old * 10 + turn)  # noqa: B023

        @program.task
        def add() -> None:
            update(device, "x", lambda old: old + 1)
            update(device, "y", lambda old: old * 10 + 7)
            update(device, "x", lambda old: old + 1)

    assert final_values(build, Reduced, "y") == final_values(build, Exhaustive, "y") == {172, 712}


def assigning(device: Shared) -> None:
    seen = 0

    def note(old: int) -> int:
        nonlocal seen
        seen = old
        return old + 1

    update(device, "x", note)
    assert seen is not None


def assigning_further_in(device: Shared) -> None:
    seen = 0

    def note(old: int) -> int:
        def inner() -> None:
            nonlocal seen
            seen = old

        inner()
        return seen

    update(device, "x", note)


def changing_a_list(device: Shared) -> None:
    seen: list[int] = []

    def note(old: int) -> int:
        seen.append(old)
        return old + 1

    update(device, "x", note)


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (assigning, r"note\(\) at line \d+ assigns to seen"),
        (assigning_further_in, r"note\(\) at line \d+ assigns to seen"),
        (changing_a_list, r"note\(\) at line \d+ changes what it has captured"),
    ],
)
def test_a_function_that_leaves_something_behind_is_refused(task: Append, what: str) -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: task(device))

    with pytest.raises(ModelError, match=f"{what}; it is called whenever the step is tried"):
        run(build, "task:1")


class Counter:
    def __init__(self) -> None:
        self.number = 1

    def add(self, old: int) -> int:
        return old + self.number


def adding_an_object(device: Shared) -> None:
    counter = Counter()
    update(device, "x", lambda old: old + counter.number)


def adding_by_a_method(device: Shared) -> None:
    update(device, "x", Counter().add)


def adding_by_a_partial(device: Shared) -> None:
    update(device, "x", partial(Counter.add, Counter()))


def adding_an_item(device: Shared) -> None:
    counters = [Counter()]
    update(device, "x", lambda old: old + counters[0].number)


def adding_a_row(device: Shared) -> None:
    rows = {1: [2]}
    update(device, "x", lambda old: old + rows[1][0])


def waiting_for_an_object(device: Shared) -> None:
    counter = Counter()
    wait_event(device, "x", lambda value: value < counter.number)


@pytest.mark.parametrize(
    ("task", "what"),
    [
        (adding_an_object, r"a lambda at line \d+ has captured counter with a Counter"),
        (adding_by_a_method, r"<bound method .*> has a Counter in it"),
        (adding_by_a_partial, r"functools.partial\(.*\) has a Counter in it"),
        (adding_an_item, r"a lambda at line \d+ has captured counters with a Counter"),
        (adding_a_row, r"a lambda at line \d+ has captured rows with a list"),
        (waiting_for_an_object, r"a lambda at line \d+ has captured counter with a Counter"),
    ],
)
def test_a_function_that_captures_what_can_change_is_refused(task: Append, what: str) -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: task(device))

    with pytest.raises(ModelError, match=f"{what}, which can change before the step is made"):
        run(build, "task:1")


def test_a_default_that_changes_is_what_it_was() -> None:
    digits = [1]
    kept = frozen(lambda digits=digits: digits[-1])
    digits.append(2)

    assert kept() == 1


def test_functions_that_call_each_other_are_copied_together() -> None:
    step = 1

    def down(n: int) -> int:
        return 0 if n == 0 else step + up(n - 1)

    def up(n: int) -> int:
        return 0 if n == 0 else step + down(n - 1)

    kept = frozen(down)
    step = 100

    assert (kept(4), down(4)) == (4, 400)


def test_a_variable_that_is_assigned_later_is_not_there() -> None:
    kept = frozen(lambda: later)
    later = 1

    with pytest.raises(NameError):
        kept()
    assert later
