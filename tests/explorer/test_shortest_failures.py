"""The failure that a search tells is the shortest over all schedules: breadth-first agrees."""

import random
from collections.abc import Iterator
from typing import Any

import pytest

from pfnlab import explore
from pfnlab.engine import invariant, violate
from pfnlab.engine.program import Rule
from tests.explorer.oracles import (
    Build,
    Lab,
    Memory,
    breadth_first,
    philosophers,
    scenario,
    searched,
)

WRONG = Rule("wrong", "A task sees what it must not see.")


@invariant
def never_both(lab: Lab) -> Iterator[str]:
    """x and y are both 2."""
    if lab.memory.x == 2 and lab.memory.y == 2:
        yield "x and y are 2"


def random_program(seed: int) -> Build:
    """Two or three tasks with local assertions, a rule about the state, and locks."""
    chance = random.Random(seed)
    tasks = chance.choice([2, 2, 3])
    sizes = {2: 5, 3: 3}
    code = [_block(chance, chance.randint(2, sizes[tasks])) for _ in range(tasks)]

    def build(lab: Lab) -> None:
        lab.memory = Memory()
        lab.always(never_both)
        for place, statements in enumerate(code):
            lab.add_task(f"t{place}", lambda statements=statements: _run(lab.memory, statements))

    return build


def _block(chance: random.Random, size: int) -> list[tuple[Any, ...]]:
    out: list[tuple[Any, ...]] = []
    while size > 0:
        kind = chance.choice(["write", "write", "check", "mutex", "read", "fair", "try"])
        name = chance.choice(["x", "y"])
        if kind in ("write", "check"):
            out.append((kind, name, chance.randint(1, 2)))
            size -= 1
        else:
            lock = chance.choice(["lock", "other"])
            inner = _block(chance, chance.randint(0, min(2, size - 1)))
            out.append((kind, lock, inner))
            size -= 2 + len(inner)
    return out


def _run(memory: Memory, statements: list[tuple[Any, ...]]) -> None:
    for kind, name, what in statements:
        if kind == "write":
            setattr(memory, name, what)
        elif kind == "check":
            if getattr(memory, name) == what:
                violate(WRONG, f"{name} is {what}")
        elif kind == "mutex":
            with getattr(memory, name):
                _run(memory, what)
        elif kind == "read":
            with memory.semaphore.read():
                _run(memory, what)
        elif kind == "fair":
            side = memory.fair.read if name == "lock" else memory.fair.write
            with side():
                _run(memory, what)
        elif getattr(memory, name).trylock():
            _run(memory, what)
            getattr(memory, name).unlock()


def told(build: Build) -> dict[str, tuple[int, int]]:
    shortest: dict[str, tuple[int, int]] = {}
    for finding in searched(build).result.findings:  # type: ignore[attr-defined]
        cost = finding.steps, finding.switches
        rule = finding.violation.rule
        shortest[rule] = min(shortest.get(rule, cost), cost)
    return shortest


def compare(seeds: range, most: int) -> dict[str, int]:
    """How often each rule broke; every time in the fewest steps that it takes."""
    broke: dict[str, int] = {}
    for seed in seeds:
        build = random_program(seed)
        expected = breadth_first(build, most)
        if expected is None:
            continue
        found = told(build)
        # Where one rule breaks, breadth-first goes no further: another may need that step.
        assert found == expected, f"seed {seed}"
        for rule in found:
            broke[rule] = broke.get(rule, 0) + 1
    return broke


def test_a_deadlock_is_told_in_as_few_steps_as_there_are_philosophers() -> None:
    assert told(philosophers(2)) == breadth_first(philosophers(2), 400)
    assert told(philosophers(3)) == {"no_deadlock": (3, 2)}


@pytest.mark.slow
def test_failures_of_random_programs_are_the_shortest_that_there_are() -> None:
    broke = compare(range(150), 600)

    assert set(broke) == {"wrong", "never_both", "no_deadlock"}


def test_what_breaks_only_after_a_deadlock_is_no_finding_of_its_own() -> None:
    def build(lab: Lab) -> None:
        memory = Memory()

        @lab.task
        def reader() -> None:
            if memory.y == 2:
                violate(WRONG)

        @lab.task
        def writer() -> None:
            with memory.other:
                memory.y = 2
                memory.other.lock()  # for ever, from the write on

    assert told(build) == breadth_first(build, 600) == {"no_deadlock": (2, 0)}


@pytest.mark.parametrize("policy", ["dpor", "source", "exhaustive"])
def test_two_deadlocks_that_have_nothing_to_do_with_each_other_are_both_told(policy: str) -> None:
    def build(lab: Lab) -> None:
        one, other = Memory(), Memory()

        def later() -> None:
            one.lock.lock()
            one.x = 1
            one.lock.lock()

        def at_once() -> None:
            other.lock.lock()
            other.lock.lock()

        lab.add_task("later", later)
        lab.add_task("at_once", at_once)

    result = explore(scenario(build), policy=policy)

    assert [finding.schedule for finding in result.findings] == ["at_once:1", "later:2"]
