"""A small geometry in which the addresses of a trace keep their places."""

from itertools import pairwise

import pytest

from pfnlab.fidelity.actions import PAGE, Mmap
from pfnlab.fidelity.fold import FOLDED_ADDRESS, FOLDED_BAR, PMD, PUD, Fold, tables_of_others
from pfnlab.kernel.geometry import PMD_ORDER, PUD_ORDER, align_down, using

START = 0x7F1FC0000000
BAR = 1 << 20  # its first pfn
WHOLE = Mmap(START, START + (4 << 30))


def page(pud: int, pmd: int, pte: int) -> int:
    return START + ((pud * 512 + pmd) * 512 + pte) * PAGE


PAGES = [page(0, 0, 0), page(0, 0, 7), page(0, 7, 0), page(0, 511, 511), page(2, 1, 1)]


def slot(address: int, size: int) -> int:
    return align_down(address, size)


def test_addresses_keep_their_order_and_their_tables() -> None:
    fold = Fold([WHOLE], PAGES, BAR)
    folded = [fold.address(each) for each in PAGES]
    assert None not in folded
    small = [each for each in folded if each is not None]

    assert small == sorted(set(small))
    with using(fold.geometry):
        for (one, other), (a, b) in zip(pairwise(PAGES), pairwise(small), strict=True):
            for real, order in ((PMD * PAGE, PMD_ORDER), (PUD * PAGE, PUD_ORDER)):
                same = slot(one, real) == slot(other, real)
                assert (slot(a, PAGE << order) == slot(b, PAGE << order)) == same
                assert (one % real == 0) == (a % (PAGE << order) == 0)


def test_the_geometry_is_small() -> None:
    fold = Fold([WHOLE], PAGES, BAR)

    assert fold.size() <= 4096 * PAGE
    assert fold.real(FOLDED_ADDRESS) == START


def test_an_address_that_the_trace_does_not_name_has_no_place() -> None:
    assert Fold([WHOLE], PAGES, BAR).address(page(1, 2, 3)) is None


@pytest.mark.parametrize("bar_pfn", [BAR, BAR + 1, BAR + PMD])
def test_a_pfn_belongs_to_its_address_and_back(bar_pfn: int) -> None:
    fold = Fold([WHOLE], PAGES, bar_pfn)

    for each in PAGES:
        real = bar_pfn + (each - START) // PAGE
        small = fold.pfn(real, each)
        assert small is not None
        assert fold.real_pfn(small, fold.address(each) or 0) == real


@pytest.mark.parametrize(("bar_pfn", "levels"), [(BAR, 2), (BAR + PMD, 1), (BAR + 1, 0)])
def test_address_and_pfn_agree_as_far_as_the_real_ones(bar_pfn: int, levels: int) -> None:
    fold = Fold([WHOLE], PAGES, bar_pfn)
    apart = (FOLDED_BAR + fold.offset(WHOLE) - FOLDED_ADDRESS) // PAGE

    sizes = [1 << shift for shift in fold.geometry.shifts[1:]]
    assert sum(apart % size == 0 for size in sizes) == levels


def test_other_mappings_may_have_tables_where_the_device_does_not_fill_them() -> None:
    window = Mmap(START + PAGE, START + PUD * PAGE)  # not all of its 1 GiB
    first, later = page(0, 0, 1), page(0, 1, 0)

    assert tables_of_others([window], [(first, 18), (first, 9), (later, 9)]) == []
    assert tables_of_others([window], [(later, 9), (first, 9)]) == [(18, later)]
    # No PMD at `first` either; but at `later` the window has all of the 2 MiB.
    assert tables_of_others([window], [(first, 0)]) == [(18, first), (9, first)]
    assert tables_of_others([window], [(later, 0)]) == [(18, later)]
    assert tables_of_others([WHOLE], [(first, 9), (later, 0)]) == []
