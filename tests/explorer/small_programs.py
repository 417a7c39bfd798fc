"""Programs from the literature, as small as they come, and ways to explore them."""

from collections.abc import Callable
from typing import Any

from pfnlab.engine import Program, Shared, choose, mutex, rw_semaphore, word
from pfnlab.engine.execution import Execution
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.policy import Policy
from pfnlab.explorer.result import Result
from pfnlab.explorer.search import Limits, Reduced, Search

Build = Callable[[Any], None]


class Lab(Program):
    """A program that keeps what its rules look at."""

    memory: Any


def search(build: Build, policy: Policy | Reduced, schedules: int | None = None) -> Result:
    return Search(Lab, build, lambda: policy, Limits(schedules=schedules)).run()


def reduced(build: Build) -> Result:
    return search(build, Reduced())


def every(build: Build) -> Result:
    return search(build, Exhaustive())


def schedules_of(build: Build, policy: Policy, schedules: int) -> list[tuple[int, ...]]:
    """The tasks of every step, for each execution that a policy chose."""
    found: list[tuple[int, ...]] = []

    def note(_search: Search, execution: Execution) -> None:
        found.append(tuple(event.task for event in execution.events))

    Search(Lab, build, lambda: policy, Limits(schedules=schedules), note).run()
    return found


class Fork(Shared):
    lock = mutex()


class Variable(Shared):
    x = word(0)


class Guarded(Shared):
    m = mutex()
    s = rw_semaphore()
    fair = rw_semaphore(fair=True)
    x = word(0)


def philosophers(number: int, *, in_order: bool = False) -> Build:
    def build(program: Program) -> None:
        forks = [Fork() for _ in range(number)]

        def eat(first: Fork, second: Fork) -> None:
            with first.lock, second.lock:
                pass

        for place in range(number):
            pair = [place, (place + 1) % number]
            first, second = sorted(pair) if in_order else pair
            program.add_task(f"p{place}", lambda a=forks[first], b=forks[second]: eat(a, b))

    return build


def writers(*steps: int) -> Build:
    """One task per number, which writes its own word that many times."""

    def build(program: Program) -> None:
        def write(variable: Variable, times: int) -> None:
            for value in range(times):
                variable.x = value

        for place, times in enumerate(steps):
            variable = Variable()
            program.add_task(f"t{place}", lambda v=variable, n=times: write(v, n))

    return build


def last_zero(number: int) -> Build:
    """A reader looks for the last zero of an array while each writer moves it on."""

    def build(program: Program) -> None:
        array = [Variable() for _ in range(number + 1)]

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


def readers(number: int) -> Build:
    """One task writes a word, the others read it once."""

    def build(program: Program) -> None:
        variable = Variable()
        program.add_task("writer", lambda: setattr(variable, "x", 1))
        for place in range(number):
            program.add_task(f"r{place}", lambda: variable.x and None)

    return build


def last_write(number: int) -> Build:
    def build(program: Program) -> None:
        variable = Variable()
        for place in range(number):
            program.add_task(f"w{place}", lambda place=place: setattr(variable, "x", place))

    return build


def _increment(memory: Guarded) -> None:
    memory.x = memory.x + 1


def _locked_increment(memory: Guarded) -> None:
    with memory.m:
        _increment(memory)


def counter(number: int, times: int = 1) -> Build:
    def build(program: Program) -> None:
        memory = Guarded()

        def count() -> None:
            for _ in range(times):
                _locked_increment(memory)

        for place in range(number):
            program.add_task(f"t{place}", count)

    return build


def lock_kept(number: int) -> Build:
    """Whoever locks first ends with the lock."""

    def build(program: Program) -> None:
        memory = Guarded()

        def run() -> None:
            memory.m.lock()
            _increment(memory)

        for place in range(number):
            program.add_task(f"t{place}", run)

    return build


def trylock_vs_lock(number: int) -> Build:
    def build(program: Program) -> None:
        memory = Guarded()

        def attempt() -> None:
            if memory.m.trylock():
                _increment(memory)
                memory.m.unlock()

        for place in range(number):
            program.add_task(f"t{place}", attempt)
        program.add_task("locker", lambda: _locked_increment(memory))

    return build


def semaphore_users(reading: int, writing: int) -> Build:
    def build(program: Program) -> None:
        memory = Guarded()

        def read() -> None:
            with memory.s.read():
                pass

        def write() -> None:
            with memory.s.write():
                pass

        for place in range(reading):
            program.add_task(f"r{place}", read)
        for place in range(writing):
            program.add_task(f"w{place}", write)

    return build


def recursive_read(*, fair: bool) -> Build:
    def build(program: Program) -> None:
        memory = Guarded()
        lock = memory.fair if fair else memory.s

        @program.task
        def reader() -> None:
            with lock.read(), lock.read():
                pass

        @program.task
        def writer() -> None:
            with lock.write():
                pass

    return build


def opposite_orders(faulters: int) -> Build:
    """Faulters take the semaphore and then the mutex, a reset the other way round."""

    def build(program: Program) -> None:
        memory = Guarded()

        def fault() -> None:
            with memory.s.read(), memory.m:
                assert memory.x in (0, 1)

        for place in range(faulters):
            program.add_task(f"f{place}", fault)

        @program.task
        def reset() -> None:
            with memory.m, memory.s.write():
                memory.x = 1

    return build


def choosers(number: int, options: int) -> Build:
    def build(program: Program) -> None:
        variable = Variable()
        for place in range(number):
            program.add_task(f"t{place}", lambda: setattr(variable, "x", choose(range(options))))

    return build


def paired_locks(pairs: int) -> Build:
    """Nothing orders the pairs but a lock that one of each takes around the other's."""

    def build(program: Program) -> None:
        outer = Fork()
        inner = [Fork() for _ in range(pairs)]

        def short(fork: Fork) -> None:
            with fork.lock:
                pass

        def long(fork: Fork) -> None:
            with outer.lock, fork.lock:
                pass

        for place, fork in enumerate(inner):
            program.add_task(f"w{place}", lambda fork=fork: short(fork))
            program.add_task(f"r{place}", lambda fork=fork: long(fork))

    return build
