"""Asserts of tasks: one that fails is a finding."""

import re
from collections.abc import Callable, Iterator

import pytest

from pfnlab import check, explore, replay
from pfnlab.engine import (
    ModelError,
    Program,
    Shared,
    invariant,
    join,
    mutex,
    scenario,
    update,
    wait_event,
    word,
)
from pfnlab.engine.current import CURRENT
from pfnlab.engine.raised import ASSERTION
from pfnlab.kernel import Lab
from pfnlab.verdict import Counterexample
from tests.engine.runs import Build, broken, every_run


class Count(Shared):
    n = word(0)
    lock = mutex()


def add_twice(*, locked: bool) -> Build:
    """Two tasks add one each; a third one looks when both have ended."""

    def build(program: Program) -> None:
        count = Count()

        def add() -> None:
            if locked:
                with count.lock:
                    count.n = count.n + 1
            else:
                count.n = count.n + 1

        def look() -> None:
            join("one")
            join("two")
            with count.lock:
                must_be(count.n, 2)

        program.add_task("one", add)
        program.add_task("two", add)
        program.add_task("look", look)

    return build


def must_be(found: int, wanted: int) -> None:
    if found != wanted:
        raise AssertionError(f"{found} where {wanted} were added")


def test_an_assert_that_fails_in_some_interleaving_is_a_finding() -> None:
    result = every_run(add_twice(locked=False))

    assert [found.violation.rule for found in result.findings] == [ASSERTION.name]
    assert result.findings[0].violation.evidence == ("look: 1 where 2 were added",)
    assert result.findings[0].violation.task == "look"


def test_an_assert_that_holds_in_all_of_them_is_none() -> None:
    assert not every_run(add_twice(locked=True)).findings


def test_the_search_over_tries_finds_the_same_as_the_code_itself() -> None:
    reduced = explore(scenario_of(add_twice(locked=False)))

    assert (reduced.violation, reduced.complete) == (
        every_run(add_twice(locked=False)).findings[0].violation, True,
    )  # fmt: skip
    assert explore(scenario_of(add_twice(locked=True))).verdict == "ok"


def test_the_trace_ends_at_the_assert_with_the_locks_still_held() -> None:
    reduced = explore(scenario_of(add_twice(locked=False)))
    trace = reduced.findings[0].trace

    assert trace.steps[-1].verb == "call"
    assert trace.steps[-1].detail.startswith("raise AssertionError(")
    assert trace.steps[-1].site.startswith("test_raised.py:")
    assert [frame.function for frame in trace.call_trace[-2:]] == ["look", "must_be"]
    assert [hold.lock for hold in trace.held["look"]] == ["count1.lock"]


def test_its_schedule_can_be_followed_again() -> None:
    program = scenario_of(add_twice(locked=False))
    found = explore(program).findings[0]
    again = replay(program, None, found.schedule)

    assert again is not None
    assert again.violation == found.violation
    with pytest.raises(Counterexample, match="FAIL  assertion"):
        check(program)


def test_without_a_message_the_statement_is_the_evidence() -> None:
    count = 3
    evidence = broken(lambda program: program.add_task("one", lambda: fails(count)), "one:1")

    assert evidence.violation.evidence[0].startswith("one: assert ")


def fails(count: int) -> None:
    assert not count


def test_a_task_whose_assert_fails_before_its_first_step_breaks_the_rule_too() -> None:
    def build(program: Program) -> None:
        program.add_task("first", lambda: fails(1))
        program.add_task("second", lambda: None)

    assert explore(scenario_of(build)).verdict == "FAIL"


def test_where_the_rule_is_left_out_the_task_has_ended() -> None:
    result = explore(scenario_of(add_twice(locked=False)), rules=["no_deadlock"])

    assert (result.verdict, result.schedules) == ("ok", 4)


def test_an_assert_of_the_task_that_it_catches_itself_is_none() -> None:
    def careful() -> None:
        with pytest.raises(AssertionError):
            fails(1)

    assert explore(scenario_of(lambda program: program.add_task("one", careful))).verdict == "ok"


def test_other_exceptions_are_errors_of_the_program() -> None:
    def divides() -> None:
        raise ZeroDivisionError

    with pytest.raises(ModelError, match="ZeroDivisionError"):
        explore(scenario_of(lambda program: program.add_task("one", divides)))


def test_a_schedule_that_is_followed_again_tells_an_error_with_its_steps() -> None:
    def build(program: Program) -> None:
        count = Count()

        def divide() -> None:
            with count.lock:
                raise ZeroDivisionError("by what was read") if count.n else KeyError

        program.add_task("writes", lambda: setattr(count, "n", 1))
        program.add_task("divides", divide)

    found = replay(scenario_of(build), None, "writes:1,divides:2", rules=["no_deadlock"])

    assert found is not None and found.is_error
    assert found.violation.evidence == ("divides: ZeroDivisionError: by what was read",)
    assert [step.task for step in found.trace.steps] == ["writes", "divides", "divides", "divides"]
    assert [hold.lock for hold in found.trace.held["divides"]] == ["count1.lock"]


def test_misuse_is_told_like_that_too_and_is_not_told_of_what_comes_next() -> None:
    def build(program: Program) -> None:
        count = Count()

        def misuse() -> None:
            setattr(count, "m", count.n)  # noqa: B010

        program.add_task("one", misuse)

    program = scenario_of(build)
    found = replay(program, None, "one:1")

    assert found is not None and found.is_error
    assert found.violation.evidence[0].startswith("one: Count has no field m; declare it")
    assert replay(scenario_of(add_twice(locked=True)), None, "one:1") is None


def test_a_task_that_is_a_generator_or_async_is_an_error() -> None:
    def generates():  # type: ignore[no-untyped-def]
        yield

    async def waits() -> None:
        pass

    for function in (generates, waits):
        what = r"test_raised\.py:\d+: task one is a generator, or async: its code would"
        with pytest.raises(ModelError, match=what):
            explore(scenario_of(lambda program, f=function: program.add_task("one", f)))


def test_an_error_that_is_no_exception_is_one_of_the_program_too() -> None:
    class Stop(BaseException):
        pass

    def stops() -> None:
        raise Stop

    with pytest.raises(ModelError, match="task one raised Stop: return instead"):
        explore(scenario_of(lambda program: program.add_task("one", stops)))


def changed_by(change: Callable[[int], object]) -> Build:
    """One task writes 1, and another changes what it finds."""

    def build(program: Program) -> None:
        count = Count()
        program.add_task("writes", lambda: setattr(count, "n", 1))
        program.add_task("changes", lambda: update(count, "n", change))

    return build


def test_an_error_within_a_step_is_told_with_its_task_and_the_schedule_that_leads_to_it() -> None:
    words = r"ZeroDivisionError: [a-z ]*by zero \(in task changes, after writes:1,changes:1\)$"
    with pytest.raises(ModelError, match=words):
        explore(scenario_of(changed_by(lambda n: 1 // (1 - n))))


def test_a_condition_that_raises_is_an_error_of_the_task_that_waits() -> None:
    def build(program: Program) -> None:
        count = Count()
        program.add_task("writes", lambda: setattr(count, "n", 1))
        program.add_task("waits", lambda: wait_event(count, "n", lambda n: [True][n]))

    with pytest.raises(ModelError, match=r"IndexError: .* \(in task waits, after writes:1,waits:1"):
        explore(scenario_of(build))


def test_a_condition_may_give_any_value() -> None:
    def build(program: Program) -> None:
        count = Count()
        program.add_task("writes", lambda: setattr(count, "n", 2))
        program.add_task("waits", lambda: wait_event(count, "n", lambda n: n))

    assert explore(scenario_of(build)).verdict == "ok"


def test_an_assert_within_a_step_is_a_finding_with_that_step() -> None:
    def change(old: int) -> int:
        assert not old, "it was written"
        return 5

    found = explore(scenario_of(changed_by(change))).findings[0]

    assert (found.violation.rule, found.schedule) == ("assertion", "writes:1,changes:2")
    assert found.violation.evidence == ("changes: it was written",)
    assert [step.detail for step in found.trace.steps[1:]] == [
        "count1.n raises AssertionError",
        'assert not old, "it was written"',
    ]


def test_a_task_may_catch_what_its_step_raises() -> None:
    seen = []

    def build(program: Program) -> None:
        count = Count()

        def change() -> None:
            try:
                update(count, "n", lambda n: 1 // (1 - n))
            except ZeroDivisionError:
                seen.append(count.n)

        program.add_task("writes", lambda: setattr(count, "n", 1))
        program.add_task("changes", change)

    result = explore(scenario_of(build))

    assert (result.verdict, result.schedules, set(seen)) == ("ok", 2, {1})


def test_a_step_within_a_step_is_an_error_that_says_what_is_wrong() -> None:
    def build(program: Program) -> None:
        count = Count()
        program.add_task("nests", lambda: update(count, "n", lambda n: n + count.n))

    with pytest.raises(ModelError, match=r"shared state is used in a function of update\(\) or"):
        explore(scenario_of(build))


def test_a_wait_decides_by_the_value_that_it_is_given() -> None:
    def build(program: Program) -> None:
        count = Count()
        program.add_task("waits", lambda: wait_event(count, "n", lambda _n: count.n))

    with pytest.raises(ModelError, match="decides by the value that it is given"):
        explore(scenario_of(build))


def never_both(program: Program) -> None:
    """Two tasks write, and a rule does not like what it then reads."""
    count, other = Count(), Count()

    @invariant
    def one_alone(_program: Program) -> Iterator[str]:
        """One alone is written."""
        if count.n and other.n:
            raise ZeroDivisionError("both")
        yield from ()

    program.always(one_alone)
    program.add_task("one", lambda: setattr(count, "n", 1))
    program.add_task("other", lambda: setattr(other, "n", 1))


def test_what_a_rule_raises_is_told_with_the_rule_and_the_schedule_that_leads_to_it() -> None:
    words = r"ZeroDivisionError: both \(in rule one_alone, after (one:1,other:1|other:1,one:1)\)$"
    with pytest.raises(ModelError, match=words):
        explore(scenario_of(never_both))
    with pytest.raises(ZeroDivisionError) as caught:
        every_run(never_both)
    assert caught.value.__notes__ == ["in rule one_alone", "after one:1,other:1"]


def test_a_schedule_that_is_followed_again_tells_what_a_rule_raises_with_its_steps() -> None:
    found = replay(scenario_of(never_both), None, "other:1,one:1")

    assert found is not None and found.is_error
    assert found.violation.sentence == "The code of a rule is wrong: it raises an error."
    (evidence,) = found.violation.evidence
    assert re.fullmatch(
        r"ZeroDivisionError: both \(in rule one_alone, test_raised\.py:\d+\)", evidence
    )
    assert [step.task for step in found.trace.steps] == ["other", "one"]


def test_an_assert_beside_tasks_that_wait_from_the_beginning() -> None:
    def build(program: Program) -> None:
        count = Count()

        def look() -> None:
            count.n = 1
            assert count.n == 2

        program.add_task("a", lambda: join("b"))
        program.add_task("b", lambda: join("a"))
        program.add_task("c", look)

    result = explore(scenario_of(build))

    assert (result.verdict, result.schedule) == ("FAIL", "")
    assert result.violation is not None and result.violation.rule == "no_deadlock"


def test_an_assert_of_pfnlab_itself_is_an_error() -> None:
    def ours() -> None:
        exec("assert False", {"__name__": "pfnlab.kernel.mmap"})

    with pytest.raises(ModelError, match="AssertionError"):
        explore(scenario_of(lambda program: program.add_task("one", ours)))


def scenario_of(build: Build):  # type: ignore[no-untyped-def]
    def asserted(program: Program) -> None:
        """Something is asserted."""
        build(program)

    return scenario(asserted)


def test_a_scenario_with_a_kernel_can_assert_what_a_touch_gives() -> None:
    from pfnlab.designs import huge_fault

    @scenario
    def never_a_signal(lab: Lab) -> None:
        """A vCPU is never hit by a signal."""
        vdev = lab.vfio_device()
        bar = lab.mmap(vdev)

        @lab.task
        def vcpu() -> None:
            assert lab.touch(bar) == 0, "SIGBUS"

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

    violation = explore(never_a_signal, huge_fault.design).violation

    assert violation is not None
    assert violation.evidence == ("vcpu: SIGBUS",)


def test_after_an_error_no_task_is_said_to_run() -> None:
    with pytest.raises(ModelError):
        explore(scenario_of(changed_by(lambda n: 1 // (1 - n))))
    assert CURRENT.task is None
    with pytest.raises(ZeroDivisionError):
        every_run(changed_by(lambda n: 1 // (1 - n)))
    assert CURRENT.task is None
