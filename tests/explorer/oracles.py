"""Programs to search, and an oracle for shortest failures that knows no reduction."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from pfnlab.engine import Program, Scenario, Shared, mutex, rw_semaphore, word
from pfnlab.engine.execution import Execution
from pfnlab.explorer.policy import Choice, options
from pfnlab.explorer.search import Limits, Reduced, Search

Build = Callable[[Any], None]


class Fork(Shared):
    lock = mutex()


class Memory(Shared):
    x = word(0)
    y = word(0)
    lock = mutex()
    other = mutex()
    semaphore = rw_semaphore()
    fair = rw_semaphore(fair=True)


class Lab(Program):
    """A program that keeps what its rules look at."""

    memory: Any


def philosophers(number: int) -> Build:
    def build(program: Program) -> None:
        forks = [Fork() for _ in range(number)]

        def eat(first: Fork, second: Fork) -> None:
            with first.lock, second.lock:
                pass

        for place in range(number):
            pair = forks[place], forks[(place + 1) % number]
            program.add_task(f"p{place}", lambda a=pair[0], b=pair[1]: eat(a, b))

    return build


def last_zero(number: int) -> Build:
    """A reader looks for the last zero of an array while each writer moves it on."""

    def build(program: Program) -> None:
        array = [Memory() for _ in range(number + 1)]

        def read() -> None:
            place = number
            while array[place].x != 0:
                place -= 1

        def write(place: int) -> None:
            array[place].x = array[place - 1].x + 1

        program.add_task("reader", read)
        for place in range(1, number + 1):
            program.add_task(f"w{place}", lambda place=place: write(place))

    return build


def counter(number: int, times: int = 1) -> Build:
    def build(program: Program) -> None:
        memory = Memory()

        def count() -> None:
            for _ in range(times):
                with memory.lock:
                    memory.x = memory.x + 1

        for place in range(number):
            program.add_task(f"t{place}", count)

    return build


def searched(
    build: Build, *, preemptions: int | None = None, seed: int = 0, **limits: Any
) -> Search:
    """A search that has run; its result is `result`."""
    search = Search(Lab, build, lambda: Reduced(preemptions=preemptions), Limits(**limits))
    search.seed = seed
    search.result = search.run()  # type: ignore[attr-defined]  # for tests only
    return search


def scenario(build: Build) -> Scenario:
    return Scenario("program", "A program.", build)


def breadth_first(build: Build, most: int) -> dict[str, tuple[int, int]] | None:
    """The fewest (steps, switches) after which each rule breaks, over all schedules.

    Knows nothing of labels or order: every beginning of every schedule is run, the
    shorter ones first.  None if there are more than `most` beginnings.
    """
    execution = Execution(Lab(), build)
    found: dict[str, tuple[int, int]] = {}
    beginnings: list[tuple[Choice, ...]] = [()]
    looked_at = 0
    while beginnings:
        longer: list[tuple[Choice, ...]] = []
        for beginning in beginnings:
            looked_at += 1
            if looked_at > most:
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
