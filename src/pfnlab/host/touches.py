"""Which addresses a Touch accesses, in its order, as runs that machine code can make."""

from collections.abc import Iterator
from dataclasses import dataclass

from pfnlab.host.memory import PMD, PUD
from pfnlab.workload import PAGE, Touch

UNITS = {"pte": PAGE, "pmd": PMD, "pud": PUD}


@dataclass(frozen=True)
class Run:
    """`count` accesses, `stride` bytes apart."""

    address: int
    count: int
    stride: int


def runs_of(touch: Touch, address: int, size: int) -> Iterator[Run]:
    """For a window of `size` bytes at an address; a run is never empty."""
    start = address + touch.start
    end = address + (size if touch.end is None else touch.end)
    unit = UNITS[touch.every]
    if touch.direction == "forward":
        yield from firsts(start, end, unit)
    elif touch.direction == "backward":
        for run in reversed(list(firsts(start, end, unit))):
            yield Run(run.address + (run.count - 1) * run.stride, run.count, -run.stride)
    else:
        yield from scattered(start, end, unit)


def firsts(start: int, end: int, unit: int) -> Iterator[Run]:
    """The first page of the range in each slot of a size."""
    aligned = -(-start // unit) * unit
    if start < min(aligned, end):
        yield Run(start, 1, unit)
    if aligned < end:
        yield Run(aligned, -(-(end - aligned) // unit), unit)


def scattered(start: int, end: int, unit: int) -> Iterator[Run]:
    """In each table the first slot comes last, if the range has others in it."""
    if unit == PUD:
        yield from firsts(start, end, unit)
        return
    for first, stop in slots(start, end, PUD):
        if unit == PMD:
            yield from first_one_last(first, stop, PMD)
            continue
        inner = list(slots(first, stop, PMD))
        for low, high in (*inner[1:], *inner[:1]):
            yield from first_one_last(low, high, PAGE)


def first_one_last(start: int, end: int, unit: int) -> Iterator[Run]:
    second = (start // unit + 1) * unit
    if second < end:
        yield from firsts(second, end, unit)
    yield Run(start, 1, unit)


def slots(start: int, end: int, unit: int) -> Iterator[tuple[int, int]]:
    """The parts of a range that lie in one slot of a size each."""
    while start < end:
        stop = min(end, (start // unit + 1) * unit)
        yield start, stop
        start = stop
