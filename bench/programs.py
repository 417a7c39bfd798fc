"""The programs that are measured, with the exact number of their traces.

They are those of the literature on partial order reduction; each count was confirmed by
several checkers, most of them by brute force as well.  A measurement with another count is
wrong, however fast it was.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from pfnlab.engine import Program, Shared, mutex, word
from tests.explorer.small_programs import (
    Build,
    counter,
    last_zero,
    paired_locks,
    philosophers,
    readers,
    semaphore_users,
)


class Subject(NamedTuple):
    """One program.  `name` is as in a table: the maker and its numbers."""

    name: str
    build: Build
    traces: int


class Lock(Shared):
    lock = mutex()
    value = word(0)


def lock_only(tasks: int, times: int) -> Build:
    """Every task takes the one mutex so many times, and does nothing with it."""

    def build(program: Program) -> None:
        shared = Lock()

        def run() -> None:
            for _ in range(times):
                with shared.lock:
                    pass

        for place in range(tasks):
            program.add_task(f"t{place}", run)

    return build


def producers_and_workers(producers: int, workers: int) -> Build:
    """A producer says, by what it finds, to which worker it has given something to do."""

    def build(program: Program) -> None:
        buffer = Lock()
        requests = [Lock() for _ in range(workers)]

        def work(request: Lock) -> None:
            for _ in range(2):
                with request.lock:
                    wanted = request.value
                    if wanted:
                        request.value = wanted - 1

        def produce(number: int) -> None:
            made = 0
            for _ in range(2):
                with buffer.lock:
                    made = (buffer.value * producers + number) % 2**32
                    buffer.value = made
            request = requests[made % workers]
            with request.lock:
                request.value = request.value + 1

        for place, request in enumerate(requests):
            program.add_task(f"w{place}", lambda request=request: work(request))
        for place in range(producers):
            program.add_task(f"p{place}", lambda place=place: produce(place))

    return build


MAKERS: dict[str, Callable[..., Build]] = {
    "lastzero": last_zero,
    "philosophers": philosophers,
    "counter": counter,
    "mpat": paired_locks,
    "multiprodcon": producers_and_workers,
    "lockonly": lock_only,
    "readers": readers,
    "rwreaders": semaphore_users,
}

TRACES: dict[tuple[Any, ...], int] = {
    ("lastzero", 4): 28,
    ("lastzero", 7): 320,
    ("lastzero", 8): 704,
    ("lastzero", 10): 3_328,
    ("lastzero", 12): 15_360,
    ("lastzero", 15): 147_456,
    ("philosophers", 5): 31,
    ("philosophers", 8): 255,
    ("philosophers", 10): 1_023,
    ("philosophers", 15): 32_767,
    ("counter", 3): 6,
    ("counter", 5): 120,
    ("counter", 8): 40_320,
    ("mpat", 4): 384,
    ("mpat", 5): 3_840,
    ("mpat", 7): 645_120,
    ("multiprodcon", 2, 5): 60,
    ("multiprodcon", 3, 5): 2_958,
    ("lockonly", 2, 5): 252,
    ("readers", 8): 256,
    ("rwreaders", 3, 2): 54,
    ("rwreaders", 5, 2): 486,
}

# philosophers(15) is the lock program of 60 events.
RATES = (
    "lastzero(8)", "lastzero(10)", "lastzero(12)", "lastzero(15)", "philosophers(5)",
    "philosophers(8)", "philosophers(10)", "philosophers(15)", "counter(5)", "counter(8)",
    "mpat(4)", "mpat(5)", "multiprodcon(2,5)", "multiprodcon(3,5)", "lockonly(2,5)",
    "readers(8)", "rwreaders(3,2)", "rwreaders(5,2)",
)  # fmt: skip


def subjects() -> dict[str, Subject]:
    """All of them, by name."""
    found = {}
    for (maker, *numbers), traces in TRACES.items():
        name = f"{maker}({','.join(map(str, numbers))})"
        found[name] = Subject(name, MAKERS[maker](*numbers), traces)
    return found
