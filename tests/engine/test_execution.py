"""One program under one schedule, and taking it back."""

import re
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from pfnlab.engine import ModelError, Program, Shared, choose, field, mutex, rw_semaphore, word
from pfnlab.engine.execution import Execution
from pfnlab.engine.schedule import follow
from pfnlab.explorer.walk import RandomWalk
from tests.engine.runs import broken, every_run, rules_broken, run, values, without_lines
from tests.explorer.random_programs import Statement, programs, scenario_of


class Device(Shared):
    a = mutex()
    b = mutex()
    c = mutex()
    sem = rw_semaphore()
    x = word(0)
    plain = field(0)
    watched = field(0, watched=True)


def test_a_restart_undoes_everything() -> None:
    def build(program: Program) -> None:
        device = Device()
        device.x = 5
        device.plain = 6

        @program.task
        def task() -> None:
            device.a.lock()
            device.sem.down_write()
            device.x = 7
            device.plain = 8
            device.watched = 9

    execution = Execution(Program(), build)
    execution.restart()
    before = values(execution)
    follow(execution, "task:5")
    assert values(execution) != before

    execution.restart()

    assert values(execution) == before
    assert before["device1.x"] == 5
    task = execution.program.tasks[0]
    assert (task.held, task.steps, task.made, task.finished) == ([], 0, 0, False)
    assert (execution.steps, execution.events, execution.violation) == (0, [], None)


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(programs())
def test_a_restart_undoes_any_random_program(code: list[list[Statement]]) -> None:
    execution = Execution(Program(), scenario_of(code))
    execution.restart()
    before = [cell.value for cell in execution.cells]
    walk = RandomWalk(seed=3)
    for _ in range(4):
        while choices := execution.enabled():
            task = walk.random.choice(choices)
            pending = execution.pending[task.index]
            assert pending is not None
            execution.fire(task, walk.random.randrange(pending.options))
        execution.restart()
        assert [cell.value for cell in execution.cells[: len(before)]] == before
        assert [task.held for task in execution.program.tasks] == [[] for _ in code]
        assert execution.violation is None
    execution.end()


def test_a_task_that_is_given_up_leaves_the_state_of_its_with_blocks_alone() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            with device.a, device.sem.write():
                device.x = 1
                device.x = 2

    execution = run(build, "task:3")
    held = values(execution)["device1.a"]
    execution.end()

    # The greenlet is unwound; its unlocks must not be steps.
    assert held == 0
    assert values(execution)["device1.a"] == held
    assert values(execution)["device1.x"] == 1


def test_workers_are_pooled() -> None:
    def build(program: Program) -> None:
        device = Device()

        def task() -> None:
            device.x = 1

        program.add_task("one", task)
        program.add_task("two", task)

    execution = Execution(Program(), build)
    for schedule in ("one:1,two:1", "one:1", "", "two:1,one:1"):
        follow(execution, schedule)
    execution.end()

    assert len(execution.pool.idle) == 2


def test_two_locks_in_opposite_orders_deadlock() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            with device.a, device.b:
                pass

        @program.task
        def two() -> None:
            with device.b, device.a:
                pass

    result = every_run(build)

    assert result.schedule == "one:1,two:1"
    assert result.violation is not None
    assert result.violation[:2] == ("no_deadlock", "Tasks wait for each other for ever.")
    assert without_lines(result.violation.evidence) == (
        "two waits for one, which waits for two.",
        "two waits in mutex_lock for device1.a, held by one since step 1.",
        "one waits in mutex_lock for device1.b, held by two since step 2.",
    )
    assert re.search(
        r"device1\.a \(test_execution.py:\d+\), held by one since step 1 \(test_execution.py:\d+\)",
        result.violation.evidence[1],
    )


def test_a_deadlock_is_found_while_other_tasks_can_still_run() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            with device.a, device.b:
                pass

        @program.task
        def two() -> None:
            with device.b, device.a:
                pass

        @program.task
        def bystander() -> None:
            device.x = 1

    assert every_run(build).schedule == "one:1,two:1"


def test_a_deadlock_goes_through_mutexes_and_semaphores() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def fault() -> None:
            with device.sem.read(), device.a:
                pass

        @program.task
        def reset() -> None:
            with device.a, device.sem.write():
                pass

    assert without_lines(broken(build, "fault:1,reset:1").violation.evidence) == (
        "reset waits for fault, which waits for reset.",
        "reset waits in down_write for device1.sem, held by fault for read since step 1.",
        "fault waits in mutex_lock for device1.a, held by reset since step 2.",
    )


def test_who_only_waits_for_a_deadlock_is_no_part_of_it() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def late() -> None:
            with device.c, device.a:
                pass

        @program.task
        def one() -> None:
            with device.a, device.b:
                pass

        @program.task
        def two() -> None:
            with device.b, device.a:
                pass

    finding = broken(build, "one:1,late:1,two:1")

    assert not any(line.startswith("late") for line in finding.violation.evidence)
    assert every_run(build).schedule == "one:1,two:1"


def test_a_lock_that_a_task_took_with_it_stops_the_others_for_ever() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("forgetful", device.a.lock)

        @program.task
        def waiter() -> None:
            with device.a:
                pass

    result = every_run(build)

    assert result.schedule == "forgetful:1"
    assert result.violation is not None
    assert result.violation.rule == "no_deadlock"
    assert without_lines(result.violation.evidence) == (
        "waiter waits in mutex_lock for device1.a, held by forgetful since step 1.",
    )


def test_a_task_that_goes_on_for_ever_breaks_a_rule_at_the_step_limit() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def busy() -> None:
            while True:
                device.x = 1 - device.x

    result = every_run(build, steps=10)

    assert result.violation is not None
    assert result.violation[:3] == (
        "every_task_ends",
        "A task does not end within the step limit.",
        ("busy has made more than 10 steps.",),
    )
    assert result.schedule == "busy:11"


def test_a_task_that_ends_below_the_step_limit_breaks_no_rule() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            for _ in range(10):
                device.x = 1

    assert every_run(build, steps=11).verdict == "ok"
    assert every_run(build, steps=9).verdict == "FAIL"


def test_the_step_limit_counts_plain_steps_too() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def busy() -> None:
            while True:
                device.plain += 1

    result = every_run(build, steps=10)

    assert result.violation is not None
    assert result.violation.rule == "every_task_ends"


def test_the_locks_held_when_a_rule_broke_are_kept() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            with device.sem.read(), device.a, device.b:
                pass

        @program.task
        def two() -> None:
            with device.b, device.a:
                pass

    finding = broken(build, "one:2,two:1")

    assert finding.trace.held == {
        "one": (("device1.sem", "read", 1), ("device1.a", "", 2)),
        "two": (("device1.b", "", 3),),
    }


def test_an_error_in_a_task_comes_out_as_it_is() -> None:
    def build(program: Program) -> None:
        @program.task
        def task() -> None:
            choose([1])
            raise ValueError("from the task")

    with pytest.raises(ValueError, match="from the task"):
        run(build, "task:1")


def test_two_tasks_cannot_have_one_name() -> None:
    def build(program: Program) -> None:
        program.add_task("vcpu", lambda: None)
        program.add_task("vcpu", lambda: None)

    with pytest.raises(ModelError, match="two tasks are called vcpu"):
        run(build)


def test_a_program_without_tasks_has_one_schedule() -> None:
    result = every_run(lambda program: None)

    assert (result.verdict, result.schedules, result.steps) == ("ok", 1, 0)


def test_tasks_that_touch_nothing_have_one_schedule() -> None:
    def build(program: Program) -> None:
        program.add_task("one", lambda: None)
        program.add_task("two", lambda: None)

    assert every_run(build).schedules == 1


def test_a_rule_of_the_engine_that_is_not_enforced_is_no_finding() -> None:
    def build(program: Program) -> None:
        program.enforced = frozenset({"no_data_race"})
        device = Device()

        @program.task
        def task() -> None:
            with device.a, device.a:
                pass

    assert rules_broken(build) == []


def test_a_setup_that_ends_python_is_an_error() -> None:
    def build(_program: Program) -> None:
        raise SystemExit(5)

    with pytest.raises(ModelError, match="the setup raised SystemExit: return instead"):
        run(build)


def test_a_task_that_is_no_function_is_refused() -> None:
    with pytest.raises(ModelError, match="task one is 3; a task is a function"):
        Program().add_task("one", 3)  # type: ignore[arg-type]


def test_a_setup_that_does_not_end_is_an_error() -> None:
    def build(_program: Program) -> None:
        device = Device()
        while not device.x:
            device.plain = 1

    with pytest.raises(ModelError, match="setup makes more than 50000 accesses"):
        run(build)


def test_what_a_scenario_keeps_in_the_program_cannot_change() -> None:
    def build(program: Any) -> None:
        program.device = Device()
        program.seen = []

    with pytest.raises(ModelError, match="seen of the lab has a list in it") as caught:
        run(build)

    assert re.fullmatch(r".*test_execution\.py:\d+", caught.value.place)


def test_a_task_keeps_nothing_in_the_program() -> None:
    def build(program: Any) -> None:
        program.rounds = 0

        @program.task
        def count() -> None:
            program.rounds += 1

    with pytest.raises(ModelError, match="rounds of the lab is set by a task"):
        run(build)
