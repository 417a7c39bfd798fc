"""Schedules as text."""

from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pfnlab.engine import BadSchedule, ModelError, Program, Shared, choose, field, join, mutex, word
from pfnlab.engine.execution import Execution
from pfnlab.engine.schedule import Part, follow, format_schedule, parse_schedule, schedule_of
from tests.engine.runs import run


class Device(Shared):
    lock = mutex()
    x = word(0)
    plain = field(0)


def two_tasks(program: Program) -> None:
    device = Device()

    @program.task
    def vcpu() -> None:
        with device.lock:
            device.plain += 1

    @program.task
    def config() -> None:
        if choose([False, True]):
            device.x = 1
        with device.lock:
            device.plain += 1


def test_a_schedule_is_read_part_by_part() -> None:
    assert parse_schedule("config:1, vcpu:5[1],config:2[0.12]") == [
        Part("config", 1),
        Part("vcpu", 5, (1,)),
        Part("config", 2, (0, 12)),
    ]


def test_neighbours_of_one_task_become_one_part() -> None:
    parts = [Part("a", 1, (1,)), Part("a", 2), Part("b", 0), Part("a", 1, (0,)), Part("b", 3)]

    assert format_schedule(parts[:2]) == "a:3[1]"
    assert format_schedule([*parts[:2], *parts[3:]]) == "a:4[1.0],b:3"
    assert format_schedule(parts) == "a:4[1.0],b:3"  # what b's part without a step parts, too


PARTS = st.lists(
    st.builds(
        Part,
        st.sampled_from(["vcpu", "config", "type1-0"]),
        st.integers(1, 30),
        st.lists(st.integers(0, 12), max_size=3).map(tuple),
    ),
    min_size=1,
    max_size=6,
).filter(lambda parts: all(a.task != b.task for a, b in pairwise(parts)))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(PARTS)
def test_a_schedule_that_is_printed_reads_the_same(parts: list[Part]) -> None:
    assert parse_schedule(format_schedule(parts)) == parts


@pytest.mark.parametrize("schedule", ["", "vcpu:3", "vcpu:4,config:4[0]", "config:2[1],vcpu:4"])
def test_an_execution_tells_the_schedule_that_it_followed(schedule: str) -> None:
    assert schedule_of(run(two_tasks, schedule)) == schedule


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        ("vcpu", "cannot read 'vcpu' in schedule 'vcpu': write TASK:STEPS,TASK:STEPS,..."),
        ("vcpu:1,,config:1", "cannot read ''"),
        ("vcpu:-1", "cannot read 'vcpu:-1'"),
        ("vcpu:1[]", "cannot read"),
        ("vcpu:1[a]", "cannot read"),
        ("host:1", "schedule names task 'host'; this scenario has vcpu, config"),
        ("vcpu:5", "vcpu has made 4 of the 5 steps that the schedule gives it, and has ended"),
        (
            "vcpu:3,config:2[0]",
            "config has made 1 of the 2 steps that the schedule gives it, and waits in mutex_lock",
        ),
        (
            "config:1",
            "config has made 0 of the 1 steps that the schedule gives it, and must choose: "
            "write config:N[CHOICE]",
        ),
        ("config:1[2]", "config has no choice 2 in choose"),
        ("vcpu:1[1]", "vcpu never makes choice 1 that the schedule gives it"),
        (
            "vcpu:2",
            "vcpu cannot stop after step 2: its next place to wait is after step 3",
        ),
    ],
)
def test_a_schedule_that_does_not_fit_says_why(schedule: str, message: str) -> None:
    with pytest.raises(BadSchedule) as caught:
        run(two_tasks, schedule)

    assert str(caught.value).startswith(message)


def test_a_schedule_that_does_not_fit_is_wrong_use_of_the_model() -> None:
    assert issubclass(BadSchedule, ModelError)


def test_steps_are_counted_from_where_the_last_part_of_a_task_ended() -> None:
    execution = run(two_tasks, "vcpu:3,config:1[0],vcpu:1")

    assert [task.steps for task in execution.program.tasks] == [4, 1]


def test_a_schedule_may_be_followed_again_and_again() -> None:
    execution = Execution(Program(), two_tasks)

    for _ in range(3):
        follow(execution, "vcpu:3,config:1[0],vcpu:1,config:4")
        assert [cell.value for cell in execution.cells if cell.name.endswith("plain")] == [2]
        assert [task.finished for task in execution.program.tasks] == [True, True]


class Quiet(Shared):
    lock = mutex()
    plain = field(0, traced=False)


def test_a_task_that_has_begun_and_made_no_step_is_named() -> None:
    def build(program: Program) -> None:
        device = Quiet()

        @program.task
        def reader() -> None:
            assert device.plain >= 0
            with device.lock:
                pass

        @program.task
        def writer() -> None:
            with device.lock:
                device.plain = 1

    execution = run(build, "reader:0,writer:1")

    assert execution.violation is not None
    assert execution.violation.rule == "no_data_race"
    assert schedule_of(execution).startswith("reader:0,writer:")
    assert run(build, "writer:1").violation is None


@pytest.mark.parametrize("name", ["", " a", "a\nb", "a:1", "a,b", "a;b", "a!b", "a[0]", 7])
def test_a_name_that_no_schedule_can_have_is_refused(name: Any) -> None:
    with pytest.raises(ModelError, match=r"a task cannot be called .*: schedules name it"):
        Program().add_task(name, lambda: None)


def test_a_name_may_be_several_words() -> None:
    assert parse_schedule("thread 1:2,b:1") == [Part("thread 1", 2), Part("b", 1)]


def test_the_code_of_a_task_begins_when_the_schedule_names_it() -> None:
    begun: list[str] = []

    def build(program: Program) -> None:
        device = Device()

        def begin(name: str) -> None:
            begun.append(name)
            device.x = 1
            begun.append(f"{name} goes on")

        program.add_task("one", lambda: begin("one"))
        program.add_task("two", lambda: begin("two"))

    run(build, "two:1")

    assert begun == ["two", "two goes on", "one"]


def test_a_task_can_wait_for_one_that_makes_no_step() -> None:
    def build(program: Program) -> None:
        program.add_task("idle", lambda: None)
        program.add_task("waiter", lambda: join("idle"))

    assert len(run(build, "waiter:1").events) == 1
