"""Atomic words."""

from typing import Any

import pytest

from pfnlab.engine import (
    ModelError,
    Program,
    Shared,
    compare_exchange,
    field,
    mutex,
    update,
    wait_event,
    word,
)
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import Label, dependent
from pfnlab.engine.shared import free
from pfnlab.engine.word import words
from tests.engine.runs import broken, every_run, outcomes, run, values


class Device(Shared):
    x = word(0)
    y = word(0)
    marks = words()


def state(execution: Execution, attribute: str) -> Any:
    return values(execution)[f"device1.{attribute}"]


def test_every_access_to_a_word_is_a_place_to_switch() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.x = device.x + 1
            update(device, "x", lambda old: old * 10)
            compare_exchange(device, "x", 10, 11)

    execution = run(build, "task:4")

    assert len(execution.events) == 4
    assert state(execution, "x") == 11


def test_update_returns_the_old_value() -> None:
    seen: list[int] = []

    def build(program: Program) -> None:
        device = Device()
        device.x = 3
        program.add_task("task", lambda: seen.append(update(device, "x", lambda old: old + 1)))

    execution = run(build, "task:1")

    assert (seen, state(execution, "x")) == ([3], 4)


def test_update_is_never_lost() -> None:
    device: list[Device] = []

    def build(program: Program) -> None:
        device[:] = [Device()]
        for name in ("one", "two", "three"):
            program.add_task(name, lambda: update(device[0], "x", lambda old: old + 1))

    assert outcomes(build, lambda: Device.x.cell(device[0]).value) == {3}


def test_compare_exchange_writes_only_if_it_finds_what_it_expects() -> None:
    seen: list[bool] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            seen.append(compare_exchange(device, "x", 1, 5))
            seen.append(compare_exchange(device, "x", 0, 6))

    execution = run(build, "task:2")

    assert (seen, state(execution, "x")) == ([False, True], 6)


def test_of_two_compare_exchanges_exactly_one_succeeds() -> None:
    won: dict[str, bool] = {}

    def build(program: Program) -> None:
        device = Device()

        def claim(name: str) -> None:
            won[name] = compare_exchange(device, "x", 0, name)

        program.add_task("one", lambda: claim("one"))
        program.add_task("two", lambda: claim("two"))

    assert outcomes(build, lambda: (won["one"], won["two"])) == {(True, False), (False, True)}


def labels(act: Any) -> list[Label]:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: act(device))

    return [event.label for event in run(build, "task:1").events]


def test_a_compare_exchange_that_fails_is_independent_of_a_read() -> None:
    (failed,) = labels(lambda device: compare_exchange(device, "x", 1, 2))
    (succeeded,) = labels(lambda device: compare_exchange(device, "x", 0, 2))
    (read,) = labels(lambda device: device.x)

    assert not dependent(failed, read)
    assert dependent(succeeded, read)


def test_an_update_that_changes_nothing_is_a_read() -> None:
    (same,) = labels(lambda device: update(device, "x", lambda old: old))
    (read,) = labels(lambda device: device.x)

    assert same == read


def test_an_update_to_an_equal_value_of_another_type_is_a_write() -> None:
    def build(program: Program) -> None:
        device = Device()
        device.x = 1

        @program.task
        def task() -> None:
            update(device, "x", bool)
            assert device.x is True

    (first, _read) = run(build, "task:2").events

    assert first.label.writes
    assert every_run(build).verdict == "ok"


def test_values_that_are_equal_but_not_alike_are_not_both_written_to_a_word() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.x = (1,)  # type: ignore[assignment]
            device.x = (True,)  # type: ignore[assignment]

    with pytest.raises(
        ModelError, match=r"= \(True,\), where it was \(1,\) before: they are equal"
    ):
        every_run(build)


def test_a_write_of_the_same_value_is_a_write() -> None:
    (write,) = labels(lambda device: setattr(device, "x", 0))
    (read,) = labels(lambda device: device.x)

    assert dependent(write, read)
    assert dependent(write, write)


def test_writes_of_different_words_are_independent() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.x = 1
            device.y = 1

    x, y = (event.label for event in run(build, "task:2").events)

    assert not dependent(x, y)


def test_two_tasks_that_write_and_then_look_never_miss_each_other() -> None:
    seen: dict[str, int] = {}

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            device.x = 1
            seen["one"] = device.y

        @program.task
        def two() -> None:
            device.y = 1
            seen["two"] = device.x

    # Store buffering: memory here is sequentially consistent, so (0, 0) is not there.
    assert outcomes(build, lambda: (seen["one"], seen["two"])) == {(0, 1), (1, 0), (1, 1)}


def test_a_trace_says_what_a_step_read_and_wrote() -> None:
    class Locked(Device):
        lock = mutex()

    def build(program: Program) -> None:
        device = Locked()

        @program.task
        def task() -> None:
            device.x = 4
            assert device.x == 4
            update(device, "x", lambda old: old + 1)
            compare_exchange(device, "x", 0, 9)
            compare_exchange(device, "x", 5, 9)
            device.lock.unlock()  # is not held: only what breaks a rule has a trace

    trace = broken(build, "task:6").trace

    assert [(step.verb, step.detail) for step in trace.steps[:5]] == [
        ("write", "locked1.x = 4"),
        ("read", "locked1.x is 4"),
        ("update", "locked1.x 4 -> 5"),
        ("cmpxchg", "locked1.x 0 -> 9 fails"),
        ("cmpxchg", "locked1.x 5 -> 9"),
    ]


def test_words_by_key_come_into_being_when_they_are_first_used() -> None:
    same: list[bool] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            cell = device.marks.cell("a", "mark a")
            same.append(device.marks.cell("a", "mark a") is cell)
            same.append(device.marks.cell("b", "mark b") is cell)

    execution = run(build)

    assert same == [True, False]
    assert values(execution)["mark a"] is None


def test_only_a_rule_looks_at_all_words_at_once() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: device.marks.values() and None)

    with pytest.raises(ModelError, match="only rules look at all words at once"):
        run(build)


def test_a_word_takes_part_in_every_interleaving() -> None:
    def build(program: Program) -> None:
        device = Device()

        def write() -> None:
            device.x = 1
            device.x = 2

        program.add_task("one", write)
        program.add_task("two", write)

    assert every_run(build).schedules == 6  # 4! / (2! 2!)


@pytest.mark.parametrize(
    ("verb", "attribute", "is_one"),
    [
        ("update", "plain", "plain of mixed1 is a field"),
        ("wait_event", "plain", "plain of mixed1 is a field"),
        ("compare_exchange", "lock", "lock of mixed1 is a mutex"),
        ("wait_event", "marks", "marks of mixed1 is a words"),
        ("update", "nosuch", "nosuch of mixed1 is no member"),
    ],
)
def test_what_is_no_word_cannot_be_used_as_one(verb: str, attribute: str, is_one: str) -> None:
    class Mixed(Shared):
        plain = field(0)
        lock = mutex()
        marks = words()

    calls = {
        "update": lambda mixed: update(mixed, attribute, lambda old: old),
        "wait_event": lambda mixed: wait_event(mixed, attribute, bool),
        "compare_exchange": lambda mixed: compare_exchange(mixed, attribute, 0, 1),
    }

    def build(program: Program) -> None:
        mixed = Mixed()
        program.add_task("task", lambda: calls[verb](mixed))

    with pytest.raises(ModelError) as caught:
        run(build)

    assert caught.value.message == f"{verb}() needs a word; {is_one}"


def test_a_word_of_an_object_that_was_freed_cannot_be_updated() -> None:
    class Freed(Shared, freeable=True):
        x = word(0)

    def build(program: Program) -> None:
        freed = Freed()

        @program.task
        def task() -> None:
            free(freed)
            update(freed, "x", lambda old: old + 1)

    assert every_run(build).findings[0].violation.rule == "no_use_after_free"


def test_a_word_takes_no_value_that_cannot_be_hashed() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: setattr(device, "x", [1]))

    with pytest.raises(ModelError, match=r"device1.x = \[1\]: a word takes what can be hashed"):
        run(build)
