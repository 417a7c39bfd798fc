"""Failures are told apart by the places where they happen, not by the rule alone."""

from collections.abc import Iterator

from pfnlab.engine import Program, Shared, field, invariant, mutex, violate, word
from pfnlab.engine.program import Rule
from pfnlab.explorer.keep import MOST_PLACES
from pfnlab.explorer.result import Finding
from tests.explorer.oracles import Build, Lab, searched

WRONG = Rule("wrong", "This is wrong.")


class Memory(Shared):
    x = word(0)
    y = word(0)
    plain = field(0)
    left = mutex()
    right = mutex()
    third = mutex()

    def __init__(self) -> None:
        self.name = "memory"


class Slot(Shared):
    x = word(0)


def found(build: Build) -> list[Finding]:
    return list(searched(build).result.findings)  # type: ignore[attr-defined]


def test_one_rule_that_breaks_in_two_lines_is_two_findings() -> None:
    def build(lab: Program) -> None:
        memory = Memory()

        @lab.task
        def writer() -> None:
            memory.x = 1
            memory.y = 1

        @lab.task
        def reader() -> None:
            if memory.x:
                violate(WRONG, "x")

        @lab.task
        def other() -> None:
            if memory.y:
                violate(WRONG, "y")

    findings = found(build)

    assert [(f.violation.rule, f.violation.evidence, f.schedule) for f in findings] == [
        ("wrong", ("x",), "writer:1,reader:2"),
        ("wrong", ("y",), "writer:2,other:2"),
    ]
    assert sum(finding.failing for finding in findings) >= 3


def test_the_same_line_met_by_two_tasks_is_one_finding() -> None:
    def build(lab: Program) -> None:
        memory = Memory()

        def read() -> None:
            if memory.x:
                violate(WRONG)

        lab.add_task("writer", lambda: setattr(memory, "x", 1))
        for place in range(3):
            lab.add_task(f"reader{place}", read)

    (finding,) = found(build)

    assert finding.schedule == "writer:1,reader0:2"
    assert finding.failing == 12  # three readers, each in half of eight executions


@invariant
def never_both(lab: Lab) -> Iterator[str]:
    """x and y are both set."""
    if lab.memory.x and lab.memory.y:
        yield "x and y"


def test_a_rule_about_the_state_has_a_finding_for_each_pair_that_races() -> None:
    def build(lab: Lab) -> None:
        memory = lab.memory = Memory()
        lab.always(never_both)

        @lab.task
        def one() -> None:
            if not memory.y:
                memory.x = 1

        @lab.task
        def two() -> None:
            memory.y = 1

        @lab.task
        def three() -> None:
            memory.y = 2

    findings = found(build)

    assert {f.violation.rule for f in findings} == {"never_both"}
    pairs = []
    for finding in findings:
        lines = {step.number: step.site for step in finding.trace.steps}
        assert finding.trace.race is not None
        pairs.append(tuple(sorted(lines[number] for number in finding.trace.race)))
    assert len(pairs) == len(set(pairs)) >= 2
    assert [f.steps for f in findings] == sorted(f.steps for f in findings)


def test_two_deadlocks_are_two_findings() -> None:
    def build(lab: Program) -> None:
        memory = Memory()

        @lab.task
        def one() -> None:
            with memory.left, memory.right:
                pass

        @lab.task
        def two() -> None:
            with memory.right, memory.left:
                pass

        @lab.task
        def three() -> None:
            with memory.third, memory.left:
                pass

        @lab.task
        def four() -> None:
            with memory.left, memory.third:
                pass

    deadlocks = [f for f in found(build) if f.violation.rule == "no_deadlock"]

    assert {f.schedule for f in deadlocks} == {"one:1,two:1", "three:1,four:1"}


def test_a_data_race_is_one_finding_whichever_access_comes_first() -> None:
    def build(lab: Program) -> None:
        memory = Memory()

        @lab.task
        def writer() -> None:
            memory.x = 1
            memory.plain = 1

        @lab.task
        def reader() -> None:
            assert memory.plain in (0, 1)

    (finding,) = found(build)

    assert finding.violation.rule == "no_data_race"


def test_so_many_places_of_a_rule_are_told_apart_and_no_more() -> None:
    def build(lab: Program) -> None:
        words = [Slot() for _ in range(MOST_PLACES + 5)]

        @lab.task
        def writer() -> None:
            for memory in words:
                memory.x = 1

        @lab.task
        def reader() -> None:
            for memory in words:
                if memory.x:
                    violate(WRONG)

    search = searched(build)

    assert len(search.kept.candidates) == MOST_PLACES + 1
    (finding,) = search.result.findings  # type: ignore[attr-defined]  # all in one line
    assert finding.schedule == "writer:1,reader:2"
    assert finding.failing == search.kept.failing == MOST_PLACES + 5
