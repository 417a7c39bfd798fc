"""Page sizes, orders and shifts."""

from collections.abc import Callable

import pytest

from pfnlab import ModelError
from pfnlab.kernel import PAGE_SIZE, PMD_ORDER, PUD_ORDER, GiB, KiB, MiB, align_down
from pfnlab.kernel.geometry import (
    PTE_ORDER,
    REAL,
    pages,
    using,
)


def test_checking_has_4_entries_per_table_and_the_hardware_512() -> None:
    assert 1 << PMD_ORDER == 4
    with using(REAL):
        assert 1 << PMD_ORDER == 512


def test_a_shift_by_an_order_follows_the_geometry() -> None:
    def sizes() -> list[int]:
        return [PAGE_SIZE << order for order in (PTE_ORDER, PMD_ORDER, PUD_ORDER)]

    assert sizes() == [4 * KiB, 16 * KiB, 64 * KiB]
    with using(REAL):
        assert sizes() == [4 * KiB, 2 * MiB, 1 * GiB]
    assert sizes() == [4 * KiB, 16 * KiB, 64 * KiB]


def test_a_shift_to_the_right_follows_it_too() -> None:
    assert 64 * KiB >> PUD_ORDER == 4 * KiB
    with using(REAL):
        assert 1 * GiB >> PUD_ORDER == 4 * KiB


def test_the_geometry_comes_back_after_an_error() -> None:
    with pytest.raises(KeyError), using(REAL):
        raise KeyError
    assert 1 << PMD_ORDER == 4


def test_an_order_has_the_value_of_x86_and_compares_with_it() -> None:
    assert (int(PTE_ORDER), int(PMD_ORDER), int(PUD_ORDER)) == (0, 9, 18)
    assert PTE_ORDER < PMD_ORDER < PUD_ORDER
    assert PTE_ORDER == 0
    assert repr([PTE_ORDER, PMD_ORDER, PUD_ORDER]) == "[PTE_ORDER, PMD_ORDER, PUD_ORDER]"


@pytest.mark.parametrize(
    "calculate",
    [
        lambda: PMD_ORDER + 1,
        lambda: 1 + PMD_ORDER,
        lambda: PMD_ORDER - 1,
        lambda: 21 - PMD_ORDER,
        lambda: PMD_ORDER * 2,
        lambda: 2 * PMD_ORDER,
        lambda: PMD_ORDER + PUD_ORDER,
    ],
)
def test_an_order_refuses_arithmetic(calculate: Callable[[], int]) -> None:
    with pytest.raises(ModelError, match="an order is a level, not a number"):
        calculate()


def test_align_down_goes_to_the_multiple_below() -> None:
    assert align_down(0x7FFF, 0x4000) == 0x4000
    assert align_down(0x8000, 0x4000) == 0x8000


def test_a_size_is_rounded_up_to_whole_pages() -> None:
    assert [pages(0), pages(1), pages(PAGE_SIZE), pages(PAGE_SIZE + 1)] == [0, 1, 1, 2]
