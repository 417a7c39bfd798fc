"""Lists that tasks share."""

from collections.abc import Callable

import pytest

from pfnlab.engine import ModelError, Program, Shared, field, mutex, shared_list
from tests.engine.runs import broken, every_run, rules_broken, run, values


class Device(Shared):
    lock = mutex()
    vmas = shared_list(guarded_by="lock")
    watched = shared_list(watched=True)
    published = shared_list(guarded_by="lock", rcu=True)


class Item(Shared):
    value = field(0)


def test_a_list_keeps_the_order_in_which_items_were_put_in() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.vmas.append("b")
            device.vmas.append("c")
            device.vmas.insert_after("a", "b")
            device.vmas.remove("b")

    assert values(run(build, "task:4"))["device1.vmas"] == ("a", "c")


def test_a_list_answers_as_lists_do() -> None:
    seen: list[object] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            seen.append(bool(device.vmas))
            device.vmas.append("a")
            seen.extend([bool(device.vmas), len(device.vmas), "a" in device.vmas])
            seen.extend(["b" in device.vmas, next(iter(device.vmas))])

    run(build, "task:7")

    assert seen == [False, True, 1, True, False, "a"]


def test_an_item_may_be_removed_while_the_list_is_walked() -> None:
    walked: list[str] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            for item in ("a", "b", "c"):
                device.vmas.append(item)
            for item in device.vmas:
                walked.append(item)
                device.vmas.remove(item)

    execution = run(build, "task:7")

    assert walked == ["a", "b", "c"]
    assert values(execution)["device1.vmas"] == ()


def test_walking_a_list_while_another_task_changes_it_is_a_data_race() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def fault() -> None:
            with device.lock:
                device.vmas.append("vma")

        @program.task
        def zap() -> None:
            assert len(device.vmas) <= 1

    assert rules_broken(build) == ["no_data_race"]


def test_changing_a_list_under_its_lock_is_no_data_race() -> None:
    def build(program: Program) -> None:
        device = Device()

        def append() -> None:
            with device.lock:
                device.vmas.append("vma")

        program.add_task("one", append)
        program.add_task("two", append)

    assert every_run(build).verdict == "ok"


def test_a_change_is_one_step_of_the_trace() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.vmas.append("vma")
            device.lock.unlock()

    trace = broken(build, "task:2").trace

    assert (trace.steps[0].verb, trace.steps[0].detail) == ("write", "device1.vmas append vma")


def test_a_change_of_a_watched_list_is_a_place_to_switch() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.watched.append("a")
            device.watched.remove("a")

    assert len(run(build, "task:2").events) == 2


def test_removing_what_is_not_in_a_list_is_an_error() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: device.vmas.remove("vma"))

    with pytest.raises(ModelError, match=r"device1\.vmas\.remove\(vma\): it is not in the list"):
        run(build, "task:1")


def test_a_list_cannot_be_assigned() -> None:
    def build(program: Program) -> None:
        Device().vmas = []  # type: ignore[assignment]

    with pytest.raises(ModelError, match=r"device1\.vmas is a shared list; use append\(\)"):
        run(build)


def test_an_item_that_was_put_in_twice_is_taken_out_once() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            for item in ("a", "b", "a"):
                device.vmas.append(item)
            device.vmas.remove("a")

    assert values(run(build, "task:4"))["device1.vmas"] == ("b", "a")


# ---- lists that are also read without their lock


def publishing(change_later: bool) -> Callable[[Program], None]:
    """One task puts an item in, another one looks without the lock."""

    def build(program: Program) -> None:
        device = Device()
        item = Item()

        @program.task
        def writer() -> None:
            with device.lock:
                item.value = 1
                device.published.append(item)
                if change_later:
                    item.value = 2

        @program.task
        def reader() -> None:
            for found in device.published.rcu_read():
                found.value  # noqa: B018

    return build


def test_a_reader_sees_what_was_written_before_the_item_was_put_in() -> None:
    assert rules_broken(publishing(change_later=False)) == []


def test_a_write_to_an_item_that_can_be_found_is_a_data_race() -> None:
    assert rules_broken(publishing(change_later=True)) == ["no_data_race"]


def test_a_read_without_the_lock_and_a_write_come_in_both_orders() -> None:
    seen: list[int] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            with device.lock:
                device.published.append("a")

        @program.task
        def reader() -> None:
            seen.append(len(device.published.rcu_read()))

    assert rules_broken(build) == []
    assert set(seen) == {0, 1}


def test_a_read_under_the_lock_still_races_with_a_write_without_it() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            device.published.append("a")

        @program.task
        def reader() -> None:
            with device.lock:
                len(device.published)

    assert rules_broken(build) == ["no_data_race"]


def test_a_list_that_was_not_declared_so_cannot_be_read_without_its_lock() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def reader() -> None:
            device.vmas.rcu_read()

    with pytest.raises(ModelError, match="rcu=True"):
        run(build, "reader:1")


def test_an_item_is_found_by_what_it_is_equal_to() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.vmas.append(pair(1))
            device.vmas.insert_after(pair(2), pair(1))
            device.vmas.remove(pair(1))

    def pair(number: int) -> tuple[int, int]:
        return 1000, number

    assert values(run(build, "task:3"))["device1.vmas"] == ((1000, 2),)


def test_nothing_is_inserted_after_what_is_not_there() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", lambda: device.vmas.insert_after(2, 1))

    with pytest.raises(ModelError, match=r"vmas.insert_after\(2\): 1 is not in the list"):
        run(build, "task:1")
