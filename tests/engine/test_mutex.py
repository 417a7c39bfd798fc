"""Mutexes and spinlocks."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from pfnlab.engine import ModelError, Program, Shared, mutex, rw_semaphore, spinlock, word
from tests.engine.runs import (
    Build,
    broken,
    enabled,
    every_run,
    outcomes,
    rules_broken,
    run,
    values,
    without_lines,
)


class Device(Shared):
    lock = mutex()
    second = mutex()
    spin = spinlock()
    sem = rw_semaphore()
    x = word(0)


def test_a_mutex_has_one_holder_at_a_time() -> None:
    def build(program: Program) -> None:
        device = Device()
        for name in ("one", "two"):
            program.add_task(name, lambda: _section(device))

    assert enabled(run(build, "one:1")) == ["one"]
    assert enabled(run(build, "one:2")) == ["two"]
    # one before two, or two before one: two steps each, and no way to mix them.
    assert every_run(build).schedules == 2


def _section(device: Device) -> None:
    with device.lock:
        pass


def test_an_increment_under_a_mutex_is_never_lost() -> None:
    device: list[Device] = []

    def build(program: Program) -> None:
        device[:] = [Device()]

        def increment() -> None:
            with device[0].lock:
                device[0].x = device[0].x + 1

        program.add_task("one", increment)
        program.add_task("two", increment)

    assert outcomes(build, lambda: Device.x.cell(device[0]).value) == {2}


def test_an_increment_without_a_mutex_can_be_lost() -> None:
    device: list[Device] = []

    def build(program: Program) -> None:
        device[:] = [Device()]

        def increment() -> None:
            device[0].x = device[0].x + 1

        program.add_task("one", increment)
        program.add_task("two", increment)

    assert outcomes(build, lambda: Device.x.cell(device[0]).value) == {1, 2}


def test_a_task_that_locks_a_mutex_twice_deadlocks_with_itself() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def fault() -> None:
            with device.lock, device.lock:
                pass

    result = every_run(build)

    assert result.schedule == "fault:1"
    assert result.violation is not None
    assert without_lines(result.violation.evidence) == (
        "fault waits in mutex_lock for device1.lock, held by fault since step 1.",
    )


def test_a_trylock_of_a_mutex_never_waits() -> None:
    seen: list[bool] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def holder() -> None:
            device.lock.lock()
            device.lock.unlock()

        @program.task
        def trier() -> None:
            seen.append(device.lock.trylock())

    run(build, "holder:1,trier:1")
    run(build, "holder:2,trier:1")
    run(build, "trier:1")

    assert seen == [False, True, True]


def test_a_trylock_that_failed_gives_nothing_to_unlock() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("holder", device.lock.lock)

        @program.task
        def trier() -> None:
            device.lock.trylock()
            device.lock.unlock()

    assert broken(build, "holder:1,trier:2").violation.rule == "lock_balance"


def test_unlocking_what_another_task_holds_breaks_lock_balance() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("owner", device.lock.lock)
        program.add_task("thief", device.lock.unlock)

    violation = broken(build, "owner:1,thief:1").violation

    assert violation.rule == "lock_balance"
    assert violation.evidence == (
        "thief calls mutex_unlock for device1.lock and does not hold it.",
    )


def test_a_mutex_may_be_released_in_any_order() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def hand_over_hand() -> None:
            device.lock.lock()
            device.second.lock()
            device.lock.unlock()
            device.second.unlock()

    result = every_run(build)

    assert (result.verdict, result.steps) == ("ok", 4)


def test_a_spinlock_is_a_mutex_with_the_names_of_a_spinlock() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def fault() -> None:
            with device.spin:
                device.spin.trylock()
                device.spin.unlock()
            device.spin.unlock()

    finding = broken(build, "fault:4")

    assert finding.violation.rule == "lock_balance"
    assert [step.verb for step in finding.trace.steps] == [
        "spin_lock", "spin_trylock", "spin_unlock", "call",
    ]  # fmt: skip
    assert finding.violation.evidence == (
        "fault calls spin_unlock for device1.spin and does not hold it.",
    )


def test_a_mutex_that_is_not_released_is_still_held_when_its_task_has_ended() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("owner", device.lock.lock)

    execution = run(build, "owner:1")

    assert values(execution)["device1.lock"] == 0
    assert [hold.lock.name for hold in execution.program.tasks[0].held] == ["device1.lock"]


def test_a_mutex_of_a_base_class_is_of_the_class_that_declares_it() -> None:
    class Child(Device):
        pass

    classes: list[str] = []

    def build(program: Program) -> None:
        classes.append(Child().lock.lock_class)

    run(build)

    assert classes == ["Device.lock"]


def test_a_mutex_cannot_be_assigned() -> None:
    def build(program: Program) -> None:
        Device().lock = None  # type: ignore[assignment]

    with pytest.raises(ModelError, match=r"device1\.lock is a lock; it cannot be assigned"):
        run(build)


def test_setup_cannot_wait_for_a_lock() -> None:
    def build(program: Program) -> None:
        device = Device()
        device.lock.lock()
        device.lock.lock()

    with pytest.raises(ModelError, match=r"setup waits in mutex_lock for .*: nobody can wake it"):
        run(build)


def raises_in(block: Any, *, caught: bool, error: type[BaseException] = KeyError) -> Build:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            try:
                with block(device):
                    raise error("no")
            except error:
                if not caught:
                    raise
            device.x = 1

    return build


BLOCKS = [lambda d: d.lock, lambda d: d.sem.read(), lambda d: d.sem.write()]


@pytest.mark.parametrize("block", BLOCKS)
def test_an_exception_that_is_caught_behind_the_block_of_a_lock_is_an_error(block: Any) -> None:
    with pytest.raises(ModelError, match="KeyError leaves the block of device1") as caught:
        every_run(raises_in(block, caught=True))

    assert re.fullmatch(r".*test_mutex\.py:\d+", caught.value.place)


class Own(BaseException):
    pass


@pytest.mark.parametrize("error", [AssertionError, Own])
def test_so_is_any_other_that_is_caught_there(error: type[BaseException]) -> None:
    with pytest.raises(ModelError, match=f"{error.__name__} leaves the block of device1"):
        every_run(raises_in(BLOCKS[0], caught=True, error=error))


@pytest.mark.parametrize("block", BLOCKS)
def test_a_generator_that_is_left_lets_its_lock_go(block: Any) -> None:
    def build(program: Program) -> None:
        device = Device()

        def numbers() -> Iterator[int]:
            with block(device):
                yield from (1, 2)

        def take_first() -> None:
            for _ in numbers():
                break
            with block(device):
                pass

        program.add_task("one", take_first)
        program.add_task("two", take_first)

    result = every_run(build)
    assert (result.verdict, result.complete) == ("ok", True)


@pytest.mark.parametrize("block", BLOCKS)
def test_an_exception_that_ends_its_task_is_told_as_what_it_is(block: Any) -> None:
    build = raises_in(block, caught=False)

    with pytest.raises(KeyError):
        every_run(build)
    assert broken(build, "task:2").violation.evidence == ("task: KeyError: 'no'",)


def test_an_assert_that_fails_in_the_block_of_a_lock_is_a_finding() -> None:
    build = raises_in(BLOCKS[0], caught=False, error=AssertionError)

    assert rules_broken(build) == ["assertion"]


def test_an_exception_may_be_caught_in_the_block_of_a_lock() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            with device.lock:
                try:
                    raise KeyError
                except KeyError:
                    device.x = 1

    assert every_run(build).verdict == "ok"
