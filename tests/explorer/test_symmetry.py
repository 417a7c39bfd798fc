"""Interchangeable tasks: of executions that differ in who is who, one is enough."""

from collections.abc import Callable
from typing import Any

import pytest

from pfnlab.engine import Program, Shared, field, mutex, word
from pfnlab.explorer.result import Result
from tests.explorer.brute_force import search_all
from tests.explorer.literature import built
from tests.explorer.small_programs import Build, reduced


def chained(build: Build, *groups: str) -> Build:
    """The same program, with its tasks declared interchangeable, as "t0 t1 t2"."""

    def chain(program: Program) -> None:
        build(program)
        for group in groups:
            program.interchangeable(*group.split())

    return chain


class Table(Shared):
    m = mutex()
    entry = word(0)


def fault_retry(faulters: int) -> Build:
    """Faulters look without a lock, then fill the entry under a mutex unless it is there."""

    def build(program: Program) -> None:
        table = Table()

        def fault() -> None:
            if table.entry == 0:
                with table.m:
                    if table.entry == 0:
                        table.entry = 1

        for place in range(faulters):
            program.add_task(f"f{place}", fault)

    return build


class Plain(Shared):
    flag = field(0)


def only_look(program: Program) -> None:
    plain = Plain()
    for name in "abc":
        program.add_task(name, lambda: plain.flag)
    program.interchangeable(*"abc")


def test_tasks_that_make_no_step_that_is_counted_all_begin_and_end() -> None:
    result = reduced(only_look)

    assert (result.verdict, result.schedules) == ("ok", 1)


def same_write(number: int) -> Build:
    def build(program: Program) -> None:
        table = Table()

        def write() -> None:
            table.entry = 1

        for place in range(number):
            program.add_task(f"w{place}", write)

    return build


def program_of(spec: str) -> Build:
    return same_write(4) if spec == "same_write:4" else built(spec)


CHAINS = [
    ("counter:4", ["t0 t1 t2 t3"], 24, 1),
    ("counter:3:2", ["t0 t1 t2"], 90, 15),
    ("rwreaders:3:2", ["r0 r1 r2", "w0 w1"], 54, 10),
    ("trylock_vs_lock:3", ["t0 t1 t2"], 103, 20),
    ("readers:6", ["r0 r1 r2 r3 r4 r5"], 64, 7),
    ("abba:2", ["t0 t1 t2"], 34, 26),
    ("same_write:4", ["w0 w1 w2 w3"], 24, 1),
]


@pytest.mark.parametrize(("spec", "groups", "every", "left"), CHAINS)
def test_the_chain_leaves_this_many_traces(
    spec: str, groups: list[str], every: int, left: int
) -> None:
    found = search_all(chained(program_of(spec), *groups))

    assert len(search_all(program_of(spec)).outcomes) == every
    assert len(found.outcomes) == left
    assert (found.given_up, found.twice) == (0, 0)


@pytest.mark.slow
def test_of_40320_traces_of_eight_counters_one_is_left() -> None:
    found = search_all(chained(built("counter:8"), " ".join(f"t{i}" for i in range(8))))

    assert len(found.outcomes) == 1


@pytest.mark.parametrize(("spec", "groups"), [(spec, groups) for spec, groups, *_ in CHAINS])
def test_what_can_come_out_is_the_same_but_for_who_is_who(spec: str, groups: list[str]) -> None:
    def renamed(build: Build) -> set[Any]:
        """Final values, and what tasks have learned, whoever they were."""
        outcomes = search_all(build).outcomes.values()
        return {(o.values[:0], tuple(sorted(map(str, o.results))), o.rules) for o in outcomes}

    # Which task holds a lock that nobody lets go is part of the values: they are left out.
    assert renamed(chained(program_of(spec), *groups)) == renamed(program_of(spec))


class Device(Shared):
    lock = mutex()
    x = field(0, guarded_by="lock")
    state = word(0)


def racy(program: Program) -> None:
    device = Device()

    def fault() -> None:
        if device.state == 0:
            device.x = device.x + 1

    for place in range(3):
        program.add_task(f"f{place}", fault)
    program.add_task("config", lambda: setattr(device, "state", 1))


def deadlocked(program: Program) -> None:
    device, other = Device(), Device()

    def fault() -> None:
        with device.lock, other.lock:
            pass

    for place in range(3):
        program.add_task(f"f{place}", fault)

    @program.task
    def config() -> None:
        with other.lock, device.lock:
            pass


def shortest(result: Result) -> dict[str, int]:
    """The length of the shortest counterexample to every rule that breaks."""
    steps: dict[str, int] = {}
    for finding in result.findings:
        rule = finding.violation.rule
        steps[rule] = min(finding.steps, steps.get(rule, finding.steps))
    return steps


@pytest.mark.parametrize("build", [racy, deadlocked, fault_retry(3)])
def test_verdicts_and_shortest_schedules_agree_with_and_without(
    build: Callable[[Program], None],
) -> None:
    without, chain = reduced(build), reduced(chained(build, "f0 f1 f2"))

    assert chain.verdict == without.verdict
    assert shortest(chain) == shortest(without)
    assert chain.schedules < without.schedules
