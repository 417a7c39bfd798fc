"""Reader-writer semaphores, unfair and fair."""

import pytest

from pfnlab.engine import ModelError, Program, Shared, rw_semaphore, word
from pfnlab.engine.signal import kill
from pfnlab.engine.task import Task
from tests.engine.runs import (
    Build,
    broken,
    enabled,
    every_run,
    outcomes,
    run,
    values,
    without_lines,
)


class Device(Shared):
    sem = rw_semaphore()
    fair = rw_semaphore(fair=True)
    x = word(0)


def test_two_readers_hold_the_lock_at_the_same_time() -> None:
    def build(program: Program) -> None:
        device = Device()
        for name in ("one", "two"):
            program.add_task(name, device.sem.down_read)

    execution = run(build, "one:1,two:1")

    assert values(execution)["device1.sem"].readers == (0, 1)


def test_who_read_first_leaves_no_trace_in_the_state() -> None:
    def build(program: Program) -> None:
        device = Device()
        for name in ("one", "two"):
            program.add_task(name, device.sem.down_read)

    first = values(run(build, "one:1,two:1"))["device1.sem"].readers
    second = values(run(build, "two:1,one:1"))["device1.sem"].readers

    assert first == second == (0, 1)


def test_a_writer_waits_until_the_last_reader_is_gone() -> None:
    def build(program: Program) -> None:
        device = Device()

        def read() -> None:
            with device.sem.read():
                pass

        program.add_task("one", read)
        program.add_task("two", read)
        program.add_task("writer", device.sem.down_write)

    assert "writer" in enabled(run(build, ""))
    assert "writer" not in enabled(run(build, "one:1,two:1"))
    assert "writer" not in enabled(run(build, "one:1,two:1,one:1"))
    assert "writer" in enabled(run(build, "one:1,two:1,one:1,two:1"))


@pytest.mark.parametrize("way", ["down_read", "down_write"])
def test_nobody_gets_in_while_a_writer_has_the_lock(way: str) -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("writer", lambda: _write(device))
        program.add_task("other", getattr(device.sem, way))

    assert enabled(run(build, "writer:1")) == ["writer"]
    assert enabled(run(build, "writer:2")) == ["other"]


def _write(device: Device) -> None:
    with device.sem.write():
        pass


def test_a_writer_that_waits_holds_off_new_readers_if_the_lock_is_fair() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("early", lambda: _read(device))
        program.add_task("writer", device.fair.down_write)
        program.add_task("late", device.fair.down_read)

    waiting = run(build, "early:1,writer:1")

    assert enabled(waiting) == ["early"]
    assert enabled(run(build, "early:1,writer:1,early:1")) == ["writer"]


def _read(device: Device) -> None:
    with device.fair.read():
        pass


def test_a_writer_that_waits_lets_new_readers_pass_if_the_lock_is_unfair() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("early", device.sem.down_read)
        program.add_task("writer", device.sem.down_write)
        program.add_task("late", device.sem.down_read)

    assert enabled(run(build, "early:1")) == ["late"]


def test_a_fair_lock_that_is_free_is_taken_in_one_step() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            device.fair.down_write()
            device.fair.up_write()

    assert every_run(build).steps == 2


def test_a_task_that_reads_twice_deadlocks_with_a_writer_in_between_if_the_lock_is_fair() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def reader() -> None:
            with device.fair.read(), device.fair.read():
                pass

        @program.task
        def writer() -> None:
            with device.fair.write():
                pass

    result = every_run(build)
    assert result.violation is not None
    assert result.violation.rule == "no_deadlock"
    assert result.schedule == "reader:1,writer:1"
    assert without_lines(result.violation.evidence) == (
        "writer waits for reader, which waits for writer.",
        "writer waits in down_write for device1.fair, held by reader for read since step 1.",
        "reader waits in down_read for device1.fair, held by writer, which waits for it in front.",
    )


def test_a_task_that_reads_twice_never_deadlocks_if_the_lock_is_unfair() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def reader() -> None:
            with device.sem.read(), device.sem.read():
                pass

        @program.task
        def writer() -> None:
            with device.sem.write():
                pass

    assert every_run(build).verdict == "ok"


def test_two_tasks_that_turn_a_read_lock_into_a_write_lock_deadlock() -> None:
    def build(program: Program) -> None:
        device = Device()

        def upgrade() -> None:
            device.sem.down_read()
            device.sem.down_write()

        program.add_task("one", upgrade)

    finding = broken(build, "one:1")

    assert finding.violation.rule == "no_deadlock"
    assert without_lines(finding.violation.evidence) == (
        "one waits in down_write for device1.sem, held by one for read since step 1.",
    )


@pytest.mark.parametrize(
    ("held", "way", "taken"),
    [
        (None, "down_read_trylock", True),
        (None, "down_write_trylock", True),
        ("down_read", "down_read_trylock", True),
        ("down_read", "down_write_trylock", False),
        ("down_write", "down_read_trylock", False),
        ("down_write", "down_write_trylock", False),
    ],
)
def test_a_trylock_never_waits_and_says_whether_it_took_the_lock(
    held: str | None, way: str, taken: bool
) -> None:
    seen: list[bool] = []

    def build(program: Program) -> None:
        device = Device()
        program.add_task("holder", lambda: getattr(device.sem, held)() if held else None)
        program.add_task("trier", lambda: seen.append(getattr(device.sem, way)()))

    run(build, "holder:1,trier:1" if held else "trier:1")

    assert seen == [taken]


def test_a_read_trylock_fails_behind_a_writer_that_waits_if_the_lock_is_fair() -> None:
    seen: list[bool] = []

    def build(program: Program) -> None:
        device = Device()
        program.add_task("early", device.fair.down_read)
        program.add_task("writer", device.fair.down_write)
        program.add_task("trier", lambda: seen.append(device.fair.down_read_trylock()))

    run(build, "early:1,writer:1,trier:1")

    assert seen == [False]


def test_a_downgrade_lets_readers_in_and_keeps_writers_out() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def owner() -> None:
            device.sem.down_write()
            device.sem.downgrade_write()
            device.sem.up_read()

        program.add_task("reader", device.sem.down_read)
        program.add_task("writer", device.sem.down_write)

    assert enabled(run(build, "owner:1")) == ["owner"]
    assert enabled(run(build, "owner:2")) == ["owner", "reader"]
    assert enabled(run(build, "owner:3")) == ["reader", "writer"]


def test_a_task_that_downgrades_holds_the_lock_for_read_from_then_on() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def owner() -> None:
            device.sem.down_write()
            device.sem.downgrade_write()
            device.sem.up_write()

    finding = broken(build, "owner:3")

    assert finding.violation.rule == "lock_balance"
    assert finding.trace.held["owner"] == (("device1.sem", "read", 2),)


@pytest.mark.parametrize("release", ["up_read", "up_write", "downgrade_write"])
def test_a_task_that_releases_a_lock_it_does_not_hold_breaks_lock_balance(release: str) -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("task", getattr(device.sem, release))

    result = every_run(build)

    assert result.violation is not None
    assert result.violation.rule == "lock_balance"
    assert result.violation.evidence == (
        f"task calls {release} for device1.sem and does not hold it.",
    )


def test_releasing_for_write_what_is_held_for_read_breaks_lock_balance() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            device.sem.down_read()
            device.sem.up_write()

    violation = every_run(build).findings[0].violation
    assert violation.rule == "lock_balance"
    assert violation.evidence == ("task calls up_write for device1.sem and holds it for read.",)


def killable(way: str, seen: list[bool]) -> tuple[Build, dict[str, Task]]:
    """A holder, a waiter that can be killed, and a killer."""
    tasks: dict[str, Task] = {}

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def holder() -> None:
            device.fair.down_write()
            device.fair.up_write()

        @program.task
        def waiter() -> None:
            seen.append(getattr(device.fair, way)())

        @program.task
        def killer() -> None:
            kill("waiter")

        tasks.update((task.name, task) for task in program.tasks)

    return build, tasks


@pytest.mark.parametrize("way", ["down_read_killable", "down_write_killable"])
def test_a_killable_wait_ends_when_a_fatal_signal_comes(way: str) -> None:
    seen: list[bool] = []
    build, tasks = killable(way, seen)
    queues = "waiter:1," if way == "down_write_killable" else ""

    assert "waiter" not in enabled(run(build, f"holder:1,{queues}".rstrip(",")))
    killed = run(build, f"holder:1,{queues}killer:1,waiter:1")

    assert seen[-1] is False
    assert tasks["waiter"].held == []
    assert values(killed)["device1.fair"].queued == ()


@pytest.mark.parametrize("way", ["down_read_killable", "down_write_killable"])
def test_a_killable_wait_takes_the_lock_when_it_becomes_free(way: str) -> None:
    seen: list[bool] = []
    build, tasks = killable(way, seen)

    run(build, "holder:2,waiter:1")

    assert seen == [True]
    assert [hold.mode for hold in tasks["waiter"].held] == [way.split("_")[1]]


def test_a_writer_sees_all_that_another_wrote_or_nothing() -> None:
    seen: list[tuple[int, int]] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def writer() -> None:
            with device.sem.write():
                device.x = 1
                device.x = 2

        @program.task
        def reader() -> None:
            with device.sem.read():
                seen.append((device.x, device.x))

    assert outcomes(build, lambda: seen[-1]) == {(0, 0), (2, 2)}


def test_a_lock_cannot_be_assigned() -> None:
    def build(program: Program) -> None:
        Device().sem = None  # type: ignore[assignment]

    with pytest.raises(Exception, match=r"device1\.sem is a lock; it cannot be assigned"):
        run(build)


def test_a_semaphore_is_taken_on_one_of_its_sides() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            with device.sem:
                pass

    with pytest.raises(ModelError, match=r"with device1\.sem: .*write \.read\(\) or \.write\(\)"):
        every_run(build)
