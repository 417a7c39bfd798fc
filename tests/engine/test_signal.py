"""Fatal signals."""

import pytest

from pfnlab.engine import ModelError, Program, Shared, mutex, rw_semaphore
from pfnlab.engine.signal import fatal_signal_pending, kill
from pfnlab.explorer.search import Reduced, Search
from tests.engine.runs import every_run, outcomes, run


class Device(Shared):
    lock = mutex()
    sem = rw_semaphore()


def test_a_task_learns_that_it_was_killed() -> None:
    seen: list[bool] = []

    def build(program: Program) -> None:
        @program.task
        def victim() -> None:
            seen[:] = [fatal_signal_pending()]

        @program.task
        def killer() -> None:
            kill("victim")

    assert outcomes(build, lambda: seen[0]) == {True, False}


def test_a_signal_is_gone_in_the_next_execution() -> None:
    seen: list[bool] = []

    def build(program: Program) -> None:
        program.add_task("victim", lambda: seen.append(fatal_signal_pending()))
        program.add_task("killer", lambda: kill("victim"))

    execution = run(build, "killer:1,victim:1")
    execution.restart()
    execution.fire(execution.program.tasks[0])

    assert seen == [True, False]


def test_killing_a_task_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ModelError, match=r"no task is called 'nobody'"):
        run(lambda program: program.add_task("killer", lambda: kill("nobody")) and None)


def killed_while_waiting(program: Program) -> None:
    device = Device()

    @program.task
    def fault() -> None:
        with device.lock:
            if device.sem.down_write_killable():
                device.sem.up_write()

    @program.task
    def reset() -> None:
        with device.sem.read(), device.lock:
            pass

    @program.task
    def killer() -> None:
        kill("fault")


def test_tasks_that_a_signal_will_free_are_no_deadlock() -> None:
    # fault has the mutex and waits for reset, reset waits for the mutex; then fault is
    # killed, gives up, and lets go of the mutex.
    assert every_run(killed_while_waiting).verdict == "ok"


def test_a_signal_may_come_at_any_time() -> None:
    taken: list[bool] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def waiter() -> None:
            taken[:] = [device.sem.down_read_killable()]
            if taken[0]:
                device.sem.up_read()

        @program.task
        def holder() -> None:
            with device.sem.write():
                pass

        @program.task
        def killer() -> None:
            kill("waiter")

    assert outcomes(build, lambda: taken[0]) == {True, False}
    found: set[bool] = set()
    result = Search(
        Program, build, Reduced, on_execution=lambda _search, _run: found.add(taken[0])
    ).run()
    assert result.complete
    assert found == {True, False}
