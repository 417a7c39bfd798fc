"""Loops that poll, in random programs: the reduction against brute force.

Whether a loop is a wait is read off its code, so these programs are real code.
"""

import random
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from pfnlab import engine, explore
from pfnlab.engine import Program, Shared, mutex, word
from pfnlab.engine.execution import Execution
from pfnlab.explorer.search import Search
from tests.explorer.oracles import Build, scenario

STEPS = 14  # of a task: some go round for ever
MOST = 4_000  # executions

STATEMENTS = [
    "m.{a} = {i}",
    "m.{a} = {i}",
    "m.lock.lock(); m.{a} = {i}; m.lock.unlock()",
    "while not m.lock.trylock(): pass\nm.lock.unlock()",
    "while m.{a} != {i}: pass",
    "while not compare_exchange(m, '{a}', {i}, {j}): pass",
    "while update(m, '{a}', lambda old: {i} if old == {j} else old) != {j}: pass",
    "while update(m, '{a}', lambda old: {i}) == {i}: pass",
    "while not compare_exchange(m, '{a}', {i}, {j}) and m.{b} != {i}: pass",
    "while m.{b} != {i} and not compare_exchange(m, '{a}', {i}, {j}): pass",
    "begin_trying()\nwhile m.{a} != {i}:\n m.{b} = {j}; try_again()\ndone_trying()",
    "begin_trying()\nwhile not compare_exchange(m, '{a}', {i}, {j}): try_again()\ndone_trying()",
    "begin_trying()\nwhile update(m, '{a}', lambda old: max(old, {i})) < {j}: try_again()\n"
    "done_trying()",
]


class Memory(Shared):
    x = word(0)
    y = word(0)
    lock = mutex()


def random_task(chance: random.Random, most: int) -> Callable[[Memory], None]:
    lines = ["def task(m):"]
    for _ in range(chance.randint(1, most)):
        statement = chance.choice(STATEMENTS).format(
            a=chance.choice("xy"), b=chance.choice("xy"), i=chance.randrange(3),
            j=chance.randrange(3),
        )  # fmt: skip
        lines += [f" {line}" for line in statement.split("\n")]
    names: dict[str, Any] = dict(vars(engine))
    exec("\n".join(lines), names)
    task: Callable[[Memory], None] = names["task"]
    return task


def random_loops(seed: int) -> Build:
    chance = random.Random(seed)
    number = chance.choice([2, 2, 2, 3])
    tasks = [random_task(chance, 3 if number == 2 else 1) for _ in range(number)]

    def build(program: Program) -> None:
        memory = Memory()
        for place, task in enumerate(tasks):
            program.add_task(f"t{place}", partial(task, memory))

    return build


def outcomes(build: Build, policy: str) -> tuple[set[Any], set[str]] | None:
    """Final values, and the rules that broke; None if that is too much to search."""
    states = set()

    def note(_search: Search, execution: Execution) -> None:
        if not execution.broken:
            states.add(tuple(cell.value for cell in execution.cells))

    result = explore(
        scenario(build), policy=policy, progress=note, step_limit=STEPS, max_schedules=MOST
    )
    return (states, {each.violation.rule for each in result.findings}) if result.complete else None


def compared(seeds: range) -> int:
    """How many of these programs were compared; fails if one has other outcomes."""
    number = 0
    for seed in seeds:
        build = random_loops(seed)
        every = outcomes(build, "exhaustive")
        if every is not None:
            assert outcomes(build, "dpor") == every, f"random_loops({seed})"
            number += 1
    return number


def test_loops_have_the_outcomes_that_brute_force_finds() -> None:
    assert compared(range(20)) >= 15


@pytest.mark.slow
def test_many_loops_have_the_outcomes_that_brute_force_finds() -> None:
    assert compared(range(20, 200)) >= 150
