"""The telling of a failure is the shortest that there is."""

from collections.abc import Iterator
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, assume, given, settings

from pfnlab.engine import Program, Shared, invariant, mutex, violate, word
from pfnlab.engine.execution import Execution
from pfnlab.engine.program import Rule
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.policy import Choice, options
from pfnlab.explorer.replay import replay
from pfnlab.explorer.search import Reduced
from tests.explorer.random_programs import Statement, programs, scenario_of
from tests.explorer.rule_programs import rule_programs, ruled
from tests.explorer.small_programs import (
    Build,
    Lab,
    every,
    opposite_orders,
    philosophers,
    recursive_read,
    reduced,
    search,
)

TOO_BIG = 600  # beginnings of schedules


def breadth_first(build: Build) -> dict[str, tuple[int, int]] | None:
    """The fewest (steps, switches) after which each rule breaks, over all schedules.

    Knows nothing of labels or order: every beginning of every schedule is run, the
    shorter ones first.  None if the program is too big.
    """
    execution = Execution(Lab(), build)
    found: dict[str, tuple[int, int]] = {}
    beginnings: list[tuple[Choice, ...]] = [()]
    looked_at = 0
    while beginnings:
        longer: list[tuple[Choice, ...]] = []
        for beginning in beginnings:
            looked_at += 1
            if looked_at > TOO_BIG:
                execution.end()
                return None
            execution.restart()
            for choice in beginning:
                execution.fire(execution.program.tasks[choice.task], choice.option)
            following = options(execution)
            if execution.violation is None and not following:
                execution.finish()
            if execution.violation is None:
                longer += [(*beginning, choice) for choice in following]
                continue
            tasks = [event.task for event in execution.events if event.steps]
            switches = sum(one != two for one, two in pairwise(tasks))
            rule, cost = execution.violation.rule, (execution.steps, switches)
            found[rule] = min(found.get(rule, cost), cost)
        beginnings = longer
    execution.end()
    return found


def told(build: Build) -> dict[str, tuple[int, int]]:
    """The shortest telling of each rule that broke, whichever places it broke in."""
    found: dict[str, tuple[int, int]] = {}
    for finding in reduced(build).findings:
        rule, length = finding.violation.rule, (finding.steps, finding.switches)
        found[rule] = min(length, found.get(rule, length))
    return found


@pytest.mark.parametrize(
    "build",
    [philosophers(2), opposite_orders(1), recursive_read(fair=True)],
    ids=["philosophers", "opposite_orders", "recursive_read"],
)
def test_the_telling_of_a_deadlock_is_as_short_as_the_shortest_schedule(build: Build) -> None:
    assert told(build) == breadth_first(build)
    assert told(build)


COMPARED = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


@pytest.mark.slow
@COMPARED
@given(rule_programs())
def test_the_telling_of_a_broken_invariant_is_as_short_as_the_shortest_schedule(
    code: list[list[Statement]],
) -> None:
    build = ruled(code)
    expected = breadth_first(build)
    assume(expected is not None)

    assert told(build) == expected


@pytest.mark.slow
@COMPARED
@given(programs())
def test_the_telling_of_a_random_failure_is_as_short_as_the_shortest_schedule(
    code: list[list[Statement]],
) -> None:
    build = scenario_of(code)
    expected = breadth_first(build)
    assume(expected is not None)

    assert told(build) == expected


class Memory(Shared):
    x = word(0)
    y = word(0)
    z = word(0)
    lock = mutex()


WRONG = Rule("wrong", "This is wrong.")


def test_what_did_not_lead_to_the_failure_is_left_out() -> None:
    def build(program: Program) -> None:
        memory = Memory()

        @program.task
        def bystander() -> None:
            for value in range(3):
                memory.z = value

        @program.task
        def writer() -> None:
            memory.y = 1
            memory.x = 1
            memory.y = 2

        @program.task
        def reader() -> None:
            if memory.x:
                violate(WRONG)

    assert reduced(build).schedule == "writer:2,reader:2"


def test_steps_are_put_together_so_that_tasks_switch_rarely() -> None:
    def build(program: Program) -> None:
        memory = Memory()

        @program.task
        def one() -> None:
            memory.x = 1
            memory.y = 1

        @program.task
        def two() -> None:
            memory.z = 1
            if memory.x and memory.y:
                violate(WRONG)

    # However the search comes upon it, the write of z can wait until one has ended.
    for policy in (Reduced(), Exhaustive()):
        (finding,) = search(build, policy).findings
        assert (finding.schedule, finding.switches) == ("one:2,two:4", 1)


def test_steps_that_depend_on_each_other_keep_their_order() -> None:
    def build(program: Program) -> None:
        memory = Memory()

        @program.task
        def one() -> None:
            memory.x = 1
            if memory.y:
                violate(WRONG)

        @program.task
        def two() -> None:
            if memory.x:
                memory.y = 1

    (finding,) = reduced(build).findings

    assert (finding.schedule, finding.switches) == ("one:1,two:2,one:2", 2)


@invariant
def x_before_y(lab: Lab) -> Iterator[str]:
    """y is not set before x."""
    if lab.memory.y and not lab.memory.x:
        yield "y, and not x"


def test_a_rule_that_reads_a_word_keeps_its_writes_in_place() -> None:
    def build(program: Lab) -> None:
        memory = program.memory = Memory()
        program.always(x_before_y)

        @program.task
        def one() -> None:
            memory.x = 1
            memory.x = 0

        @program.task
        def two() -> None:
            if memory.x:
                memory.y = 1

    (finding,) = reduced(build).findings

    # y is set while x is, and the rule breaks when x is taken back.
    assert finding.schedule == "one:1,two:2,one:1"


@pytest.mark.parametrize("build", [philosophers(3), opposite_orders(2), recursive_read(fair=True)])
def test_the_schedule_that_is_told_breaks_the_same_rule_again(build: Build) -> None:
    for finding in (*reduced(build).findings, *every(build).findings):
        again = replay(Lab, build, finding.schedule)
        assert again is not None
        assert again.violation == finding.violation
        assert (again.schedule, again.steps) == (finding.schedule, finding.steps)
        assert again.switches == finding.switches
        assert again.trace == finding.trace
