"""Rules that must hold after every step."""

from collections.abc import Iterator

import pytest

from pfnlab.engine import ModelError, Program, Shared, field, invariant, mutex, word
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import READ, WRITE
from pfnlab.engine.program import known_exception
from pfnlab.explorer.search import Reduced, Search
from tests.engine.runs import Lab, broken, every_run, rules_broken, run


class Device(Shared):
    lock = mutex()
    x = word(0)
    y = word(0)
    plain = field(0)
    watched = field(0, watched=True)


@invariant
def never_both(lab: Lab) -> Iterator[str]:
    """x and y are never 1 at the same time.

    Rule: T1.
    """
    if lab.device.x and lab.device.y:
        yield "both are 1"


def blinkers(program: Lab) -> None:
    device = program.device = Device()
    program.always(never_both)

    @program.task
    def one() -> None:
        device.x = 1
        device.x = 0

    @program.task
    def two() -> None:
        device.y = 1
        device.y = 0


def test_a_rule_is_checked_after_every_write_of_what_it_reads() -> None:
    violation = broken(blinkers, "one:1,two:1").violation

    assert violation == (
        "never_both", "x and y are never 1 at the same time.", ("both are 1",), "two", 2,
    )  # fmt: skip


def test_the_reduction_cannot_hide_a_state_that_breaks_a_rule() -> None:
    # The writes touch different words, so without the rule in their labels all four
    # would be independent, one schedule would do, and in it x and y are never both 1.
    result = Search(Lab, blinkers, Reduced).run()

    assert result.schedule == "one:1,two:1"
    assert result.complete


def test_without_the_rule_one_schedule_is_enough() -> None:
    def build(program: Lab) -> None:
        blinkers(program)
        program.invariants.clear()

    assert Search(Lab, build, Reduced).run().schedules == 1


def test_the_label_of_a_step_has_what_the_rule_read_after_it() -> None:
    execution = run(blinkers, "one:1")
    device = execution.program.device  # type: ignore[attr-defined]
    (event,) = execution.events

    x, y = Device.x.cell(device).number, Device.y.cell(device).number
    assert dict(event.label.accesses) == {x: WRITE, y: READ}


def test_a_rule_that_assigns_to_a_variable_around_it_is_an_error() -> None:
    def build(program: Lab) -> None:
        device, before = Device(), 0

        @invariant
        def only_grows(_lab: Lab) -> Iterator[str]:
            """x never gets smaller."""
            nonlocal before
            was, before = before, device.x
            if before < was:
                yield "it did"

        program.always(only_grows)

    with pytest.raises(ModelError, match="rule only_grows keeps before, which can change from"):
        run(build)


def test_a_rule_that_keeps_a_list_is_an_error() -> None:
    def build(program: Lab) -> None:
        device = Device()
        seen: list[int] = []

        @invariant
        def never_twice(_lab: Lab) -> Iterator[str]:
            """x is never the same twice."""
            if device.x in seen:
                yield "it was"
            seen.append(device.x)

        program.always(never_twice)

    with pytest.raises(ModelError, match="rule never_twice keeps seen, a list, which can change"):
        run(build)


looked: list[int] = []


def test_a_rule_is_not_looked_at_when_something_else_is_written() -> None:
    @invariant
    def counted(lab: Lab) -> Iterator[str]:
        """x is not negative."""
        looked.append(lab.device.x)
        if lab.device.x < 0:
            yield "negative"

    def build(program: Lab) -> None:
        device = program.device = Device()
        program.always(counted)

        @program.task
        def task() -> None:
            device.y = 1
            device.x = 1
            device.y = 2

    run(build, "task:3")

    assert looked == [0, 1]


def test_a_rule_is_looked_at_again_when_its_reads_have_moved() -> None:
    @invariant
    def follows(lab: Lab) -> Iterator[str]:
        """While x is set, y is 0."""
        if lab.device.x and lab.device.y:
            yield "y is set"

    def build(program: Lab) -> None:
        device = program.device = Device()
        program.always(follows)

        @program.task
        def task() -> None:
            device.y = 1  # the rule has not read y yet: x is 0
            device.y = 0
            device.x = 1
            device.y = 1  # now it has

    assert every_run(build).schedule == "task:4"


def test_a_rule_may_read_a_watched_field() -> None:
    @invariant
    def small(lab: Lab) -> Iterator[str]:
        """The watched field is small."""
        if lab.device.watched > 1:
            yield str(lab.device.watched)

    def build(program: Lab) -> None:
        device = program.device = Device()
        program.always(small)

        @program.task
        def task() -> None:
            device.watched = 1
            device.watched = 2

    assert every_run(build).schedule == "task:2"


def test_a_rule_that_reads_a_field_that_is_not_watched_is_an_error() -> None:
    @invariant
    def wrong(lab: Lab) -> Iterator[str]:
        """The plain field is 0."""
        if lab.device.plain:
            yield "not 0"

    def build(program: Lab) -> None:
        program.device = Device()
        program.always(wrong)

    with pytest.raises(ModelError) as caught:
        Execution(Lab(), build)

    assert caught.value.message == (
        "a rule reads device1.plain, whose writes are no visible steps; "
        "declare the field with watched=True"
    )


def test_a_rule_that_is_broken_from_the_start_breaks_in_setup() -> None:
    def build(program: Lab) -> None:
        blinkers(program)
        program.device.x = 1
        program.device.y = 1

    result = Search(Lab, build, Reduced).run()

    assert result.violation is not None
    assert (result.violation.task, result.schedule) == ("setup", "")


def test_a_rule_that_is_not_enforced_may_break() -> None:
    def build(program: Lab) -> None:
        blinkers(program)
        program.enforced = frozenset({"T2"})

    assert rules_broken(build) == []


def test_a_rule_has_the_first_line_of_its_docstring_and_its_number() -> None:
    assert never_both.rule.name == "never_both"
    assert never_both.rule.sentence == "x and y are never 1 at the same time."
    assert never_both.rule.number == "T1"


def test_a_rule_without_a_docstring_is_an_error() -> None:
    with pytest.raises(ModelError, match="invariant silent needs a docstring"):

        @invariant
        def silent(lab: Lab) -> Iterator[str]:
            yield from ()


def test_only_invariants_can_hold_always() -> None:
    def build(program: Program) -> None:
        program.always(lambda program: iter(()))  # type: ignore[arg-type]

    with pytest.raises(ModelError, match=r"always\(\) takes functions marked @invariant"):
        run(build)


def test_the_rule_that_was_declared_first_is_the_one_that_is_reported() -> None:
    @invariant
    def second(lab: Lab) -> Iterator[str]:
        """x and y are never 1 together."""
        if lab.device.x and lab.device.y:
            yield "again"

    def build(program: Lab) -> None:
        blinkers(program)
        program.always(second)

    assert {f.violation.rule for f in Search(Lab, build, Reduced).run().findings} == {"never_both"}


@known_exception
def x_is_one(lab: Lab) -> Iterator[str]:
    """x is 1, which is accepted.

    Rule: T2.
    """
    if lab.device.x:
        yield f"x is {lab.device.x}"


def test_a_known_exception_is_a_note_and_the_task_goes_on() -> None:
    def build(program: Lab) -> None:
        blinkers(program)
        program.invariants[:] = [x_is_one]

    result = Search(Lab, build, Reduced).run()

    (note,) = result.notes
    assert (result.verdict, result.failing) == ("ok", 0)
    assert (note.rule.number, note.evidence, note.schedule) == ("T2", ("x is 1",), "one:1")


def test_a_known_exception_hides_no_failure_of_the_same_step() -> None:
    def build(program: Lab) -> None:
        blinkers(program)
        program.invariants.insert(0, x_is_one)

    result = Search(Lab, build, Reduced).run()

    assert {finding.violation.rule for finding in result.findings} == {"never_both"}
    assert [note.schedule for note in result.notes] == ["one:1"]


def test_a_known_exception_that_is_not_asked_for_is_not_noted() -> None:
    def build(program: Lab) -> None:
        blinkers(program)
        program.always(x_is_one)
        program.enforced = frozenset({"never_both"})

    assert Search(Lab, build, Reduced).run().notes == ()


def test_a_rule_that_changes_what_it_looks_at_is_an_error() -> None:
    @invariant
    def changes(lab: Lab) -> Iterator[str]:
        """It writes."""
        lab.device.x = 5
        yield from ()

    def build(program: Lab) -> None:
        program.device = Device()
        program.always(changes)

    with pytest.raises(ModelError, match=r"a rule only looks, and this one does: write device1.x"):
        Execution(Lab(), build)
