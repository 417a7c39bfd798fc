"""Runs of machine code are the touches that the model makes, in the same order."""

from itertools import product

import pytest

from pfnlab.cost.simulate import pages_of
from pfnlab.host.touches import runs_of
from pfnlab.kernel.geometry import REAL, using
from pfnlab.workload import Direction, Level, Touch

BASE = 0x7F0000000000
MiB, GiB = 1 << 20, 1 << 30
LEVELS: list[Level] = ["pte", "pmd", "pud"]
DIRECTIONS: list[Direction] = ["forward", "backward", "random"]


def addresses(touch: Touch, address: int, size: int) -> list[int]:
    runs = list(runs_of(touch, address, size))
    assert all(run.count for run in runs)
    return [run.address + index * run.stride for run in runs for index in range(run.count)]


@pytest.mark.parametrize(("every", "direction"), list(product(LEVELS, DIRECTIONS)))
@pytest.mark.parametrize(
    ("shift", "size"),
    [(0, 6 * MiB), (4096, 5 * MiB), (GiB - 8192, 4 * MiB), (2 * MiB - 4096, 4096)],
)
def test_a_touch_has_the_addresses_of_the_model(
    every: Level, direction: Direction, shift: int, size: int
) -> None:
    touch = Touch(every=every, direction=direction)
    start = BASE + shift

    with using(REAL):
        expected = list(pages_of(touch, start, start + size))

    assert addresses(touch, start, size) == expected


def test_a_touch_may_be_of_a_part() -> None:
    assert addresses(Touch(start=8192, end=16384), BASE, GiB) == [BASE + 8192, BASE + 12288]


def test_one_page_in_each_gib_of_64_gib_is_one_run() -> None:
    assert len(list(runs_of(Touch(every="pud"), BASE, 64 * GiB))) == 1
