"""The store of memory types: who gets which, and what can be given back."""

from collections.abc import Callable
from typing import Any

from pfnlab import Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import EBUSY, EINVAL, PAGE_SIZE, Lab
from pfnlab.kernel.bars import BAR_ADDRESS
from pfnlab.kernel.memtype import (
    ioremap,
    is_new_memtype_allowed,
    lookup_memtype,
    memtype_free,
    memtype_reserve,
)

A = 0x4000000000  # no BAR


def returned_by(code: Callable[[], Any], *ranges: tuple[int, int, str]) -> Any:
    """What code returns as the only task; `ranges` were ioremapped before."""
    seen = []

    def build(lab: Lab) -> None:
        lab.vfio_device(PAGE_SIZE)
        for start, size, memtype in ranges:
            ioremap(start, size, memtype)

        @lab.task
        def task() -> None:
            seen.append(code())

    assert explore(Scenario("one", "One task.", build), huge_fault.design).verdict == "ok"
    return seen[-1]


def test_a_bar_is_reserved_as_uncached_by_its_driver() -> None:
    assert returned_by(lambda: lookup_memtype(BAR_ADDRESS)) == "UC-"


def test_what_nobody_has_reserved_is_uncached_too() -> None:
    assert returned_by(lambda: lookup_memtype(A)) == "UC-"


def test_the_first_to_reserve_chooses_the_type() -> None:
    def code() -> list[object]:
        first = memtype_reserve(A, A + 4 * PAGE_SIZE, "WC")
        second = memtype_reserve(A + PAGE_SIZE, A + 2 * PAGE_SIZE, "WB")
        return [first, second, lookup_memtype(A + PAGE_SIZE)]

    assert returned_by(code) == [(0, "WC"), (0, "WC"), "WC"]


def test_what_a_device_holds_decides_for_the_others() -> None:
    def code() -> object:
        return memtype_reserve(BAR_ADDRESS, BAR_ADDRESS + PAGE_SIZE, "WC")

    assert returned_by(code) == (0, "UC-")


def test_a_range_that_holds_two_types_is_busy() -> None:
    def code() -> object:
        return memtype_reserve(A, A + 2 * PAGE_SIZE, "WB")

    two = ((A, PAGE_SIZE, "WC"), (A + PAGE_SIZE, PAGE_SIZE, "UC-"))
    assert returned_by(code, *two)[0] == -EBUSY


def test_a_range_reserved_twice_is_free_after_the_second_free() -> None:
    def code() -> list[object]:
        for _ in range(2):
            memtype_reserve(A, A + PAGE_SIZE, "WC")
        steps: list[object] = []
        for _ in range(3):
            steps += [lookup_memtype(A), memtype_free(A, A + PAGE_SIZE)]
        return steps

    assert returned_by(code) == ["WC", 0, "WC", 0, "UC-", -EINVAL]


def test_the_end_of_a_range_can_be_freed_and_its_start_not() -> None:
    def code() -> list[object]:
        memtype_reserve(A, A + 4 * PAGE_SIZE, "WC")
        end = memtype_free(A + 2 * PAGE_SIZE, A + 4 * PAGE_SIZE)
        start = memtype_free(A, A + PAGE_SIZE)
        return [end, start, lookup_memtype(A + PAGE_SIZE), lookup_memtype(A + 2 * PAGE_SIZE)]

    assert returned_by(code) == [0, -EINVAL, "WC", "UC-"]


def test_who_asked_for_no_cache_is_never_given_write_back() -> None:
    assert not is_new_memtype_allowed("UC-", "WB")
    assert not is_new_memtype_allowed("WT", "WC")
    assert is_new_memtype_allowed("WC", "UC-")
    assert is_new_memtype_allowed("WB", "WC")


def test_a_lookup_in_a_bar_is_no_step_and_elsewhere_is_one() -> None:
    def steps(paddr: int) -> int:
        def build(lab: Lab) -> None:
            lab.vfio_device(PAGE_SIZE)
            lab.add_task("task", lambda: lookup_memtype(paddr) and None)

        return explore(Scenario("one", "One task.", build), huge_fault.design).steps

    assert (steps(BAR_ADDRESS), steps(A)) == (0, 1)
