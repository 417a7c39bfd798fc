"""A search in parts explores every trace exactly once, whoever runs which part, and when."""

import random
from collections.abc import Callable
from typing import Any

import pytest

from pfnlab.catalogue import find_design, find_scenario
from pfnlab.engine import Program, Shared, mutex, word
from pfnlab.explorer.frontier import Frontier
from pfnlab.explorer.slices import Budget, Workplace
from pfnlab.explorer.wakeup import Branch
from pfnlab.verdict import program_maker
from tests.explorer.all_events import Lab, random_program
from tests.explorer.parts import alone, broke, counted, in_parts, told

Build = Callable[[Any], None]

WAYS = [
    {"workers": 1, "schedules": 1, "give": 1},
    {"workers": 2, "schedules": 1, "give": 10},
    {"workers": 3, "schedules": 7, "give": 2},
]


class Cell(Shared):
    value = word(0)


class Fork(Shared):
    lock = mutex()


def lastzero(number: int) -> Build:
    def build(program: Program) -> None:
        cells = [Cell() for _ in range(number + 1)]

        def reader() -> None:
            place = number
            while cells[place].value:
                place -= 1

        def write(before: Cell, cell: Cell) -> None:
            cell.value = before.value + 1

        program.add_task("reader", reader)
        for place in range(1, number + 1):
            before, cell = cells[place - 1], cells[place]
            program.add_task(f"writer{place}", lambda a=before, b=cell: write(a, b))

    return build


def philosophers(number: int) -> Build:
    def build(program: Program) -> None:
        forks = [Fork() for _ in range(number)]

        def eat(first: Fork, second: Fork) -> None:
            with first.lock, second.lock:
                pass

        for place in range(number):
            first, second = forks[place], forks[(place + 1) % number]
            program.add_task(f"p{place}", lambda a=first, b=second: eat(a, b))

    return build


@pytest.mark.parametrize("way", WAYS)
def test_every_trace_is_explored_once(way: dict[str, int]) -> None:
    assert counted(in_parts(Program, lastzero(4), **way))[:2] == (28, 0)


@pytest.mark.parametrize("way", WAYS)
def test_a_deadlock_is_found_once(way: dict[str, int]) -> None:
    totals = in_parts(Program, philosophers(5), **way)

    assert (totals.schedules, totals.given_up) == (31, 0)
    assert broke(totals) == {"no_deadlock": 1}


def test_slices_that_are_lost_are_run_again() -> None:
    totals = in_parts(Program, lastzero(4), workers=3, schedules=2, give=3, deaths=0.3)

    assert (totals.schedules, totals.given_up) == (28, 0)


@pytest.mark.slow
@pytest.mark.parametrize("first", range(0, 400, 100))
def test_random_programs_have_the_same_traces_in_parts(first: int) -> None:
    for seed in range(first, first + 100):
        chance = random.Random(seed)
        program = random_program(chance)
        whole = alone(Lab, program, most=300)
        if whole is None:
            continue
        parts = in_parts(
            Lab,
            program,
            workers=chance.choice([1, 2, 3]),
            schedules=chance.choice([1, 1, 2, 5]),
            give=chance.choice([1, 2, 10]),
            seed=seed,
            deaths=0.05,
            saved=0.05,
        )
        assert counted(parts) == counted(whole), (seed, program)


@pytest.mark.slow
def test_a_search_that_becomes_source_dpor_finds_every_trace_though_it_was_split() -> None:
    fell_back = 0
    for seed in range(150):
        chance = random.Random(seed)
        program = random_program(chance)
        whole = alone(Lab, program, most=300)
        if whole is None or whole.fell_back:
            continue
        parts = in_parts(Lab, program, workers=3, schedules=2, give=3, seed=seed, limit=3)
        fell_back += parts.fell_back
        assert parts.schedules - parts.given_up == whole.schedules, (seed, program)
        assert broke(parts) == broke(whole), (seed, program)
    assert fell_back > 10


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "scenario"),
    [
        ("write_lock_in_fault", "touch+disable+munmap"),
        ("remap_on_enable_corrected", "reset+reset"),
        ("bulk_insert_on_fault", "touch+disable+fork"),
        ("remap_on_fault", "zap_vs_fault"),
    ],
)
def test_a_kernel_scenario_has_the_same_traces_and_findings_in_parts(
    design: str, scenario: str
) -> None:
    make, build = program_maker(find_design(design), None), find_scenario(scenario)
    whole = alone(make, build)
    assert whole is not None

    parts = in_parts(make, build, workers=3, schedules=5, give=5)

    assert (counted(parts), told(parts)) == (counted(whole), told(whole))


def test_what_is_planned_is_counted_anew_for_each_slice() -> None:
    place, frontier = Workplace(Program, lastzero(6)), Frontier()
    while not frontier.over:
        taken = frontier.take()
        assert taken is not None
        frontier.give_back(taken[0], place.run(taken[1], Budget(5, None, 0)))
        trees = [branch for frame in place.search.frames for branch in frame.tree]
        assert place.search.planned == sum(map(steps_in, trees))


def steps_in(branch: Branch) -> int:
    return branch.stop - branch.place + sum(map(steps_in, branch.then or ()))
