"""Searches in parts, as any number of workers would run them, in one process."""

import json
import random
from collections.abc import Callable
from typing import Any

from pfnlab.engine import Program
from pfnlab.explorer.frontier import Frontier
from pfnlab.explorer.optimal import TREE_LIMIT
from pfnlab.explorer.search import Limits, Reduced, Search
from pfnlab.explorer.slices import Budget, Slice, Work, Workplace
from pfnlab.explorer.totals import Totals, totals_of

Build = Callable[[Any], None]
Make = Callable[[], Program]


def alone(make: Make, build: Build, *, most: int | None = None) -> Totals | None:
    """What one search counts and finds; None if it would take more executions than `most`."""
    programs: list[Program] = []

    def made() -> Program:
        programs.append(make())
        return programs[-1]

    search = Search(made, build, Reduced, Limits(schedules=most))
    search.run()
    if search.why_incomplete or search.racing:
        return None
    return totals_of(search, programs[0])


def in_parts(
    make: Make,
    build: Build,
    *,
    workers: int = 1,
    schedules: int = 1,
    give: int = 0,
    seed: int = 0,
    deaths: float = 0.0,
    saved: float = 0.0,
    limit: int = TREE_LIMIT,
) -> Totals:
    """The same of a search in slices of so many executions, each given back at any time.

    `deaths` and `saved` are chances: that a slice is lost, and that everybody stops, and the
    search goes on from what a file would hold.
    """
    chance = random.Random(seed)
    places = [Workplace(make, build, limit=limit) for _ in range(workers)]
    frontier = Frontier()
    running: list[tuple[int, Work]] = []
    while not frontier.over:
        if chance.random() < saved:  # what runs now is lost
            frontier = Frontier.of(json.loads(json.dumps(frontier.data())))
            running = []
        while len(running) < workers:
            taken = frontier.take()
            if taken is None:
                break
            running.append(taken)
        number, work = running.pop(chance.randrange(len(running)))
        budget = Budget(schedules=schedules, give=0 if frontier.whole else give)
        done: Slice = chance.choice(places).run(work, budget)
        if chance.random() < deaths:
            frontier.lost(number)
            continue
        frontier.give_back(number, done)
    for place in places:
        place.end()
    return frontier.totals


def counted(totals: Totals) -> tuple[Any, ...]:
    """What must be equal, however a search was split."""
    return (
        totals.schedules, totals.given_up, totals.longest, totals.kept.failing, broke(totals),
    )  # fmt: skip


def broke(totals: Totals) -> dict[str, int]:
    """How many executions broke each rule."""
    found: dict[str, int] = {}
    for candidate in totals.kept.candidates.values():
        found[candidate.rule] = found.get(candidate.rule, 0) + candidate.failing
    return found


def told(totals: Totals) -> dict[str, str]:
    """The shortest schedule that breaks each rule."""
    found = sorted(totals.kept.candidates.values(), key=lambda one: one.short.key(), reverse=True)
    return {candidate.rule: candidate.short.schedule for candidate in found}
