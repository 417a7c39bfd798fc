"""What a leaf may map: the rule held, and broken."""

from collections.abc import Iterator
from typing import Any

import pytest

from pfnlab.errors import ModelError
from pfnlab.kernel import PAGE_SIZE, PMD_ORDER, Leaf, LeafRule, Order, leaf_rule
from pfnlab.kernel.geometry import PTE_ORDER
from pfnlab.kernel.pagetable import set_leaf
from pfnlab.rules import leaf_lies_in_its_bar, leaf_lies_in_its_vma, leaf_maps_its_own_pfn
from tests.kernel.alone import Outcome, Place, alone

PFN = 0x3800000


def after_inserting(rule: LeafRule, order: Order, page: int, pfn: int, *, pages: int) -> Outcome:
    """Insert a leaf at a page of a mapping of so many pages; only this rule is asked."""

    def code(place: Place) -> None:
        address = place.vma.vm_start + page * PAGE_SIZE
        with place.mm.mmap_lock.read():
            set_leaf(place.vma, Leaf(order, address, PFN + pfn, "UC-"))

    return alone(code, pages=pages, leaf_rules=(rule,))


@pytest.mark.parametrize(
    ("order", "page", "pfn"), [(PTE_ORDER, 0, 0), (PTE_ORDER, 3, 3), (PMD_ORDER, 4, 4)]
)
def test_a_leaf_that_maps_its_own_pfn_breaks_nothing(order: Order, page: int, pfn: int) -> None:
    assert after_inserting(leaf_maps_its_own_pfn, order, page, pfn, pages=8).rule == ""


@pytest.mark.parametrize(
    ("order", "page", "pfn", "evidence"),
    [
        (
            PTE_ORDER, 1, 2,
            "pte 7f0000001000 -> pfn 3800002: page 7f0000001000 must map pfn 3800001, not 3800002",
        ),
        (
            PMD_ORDER, 4, 0,
            "pmd 7f0000004000 -> pfn 3800000: page 7f0000004000 must map pfn 3800004, not 3800000",
        ),
    ],
)  # fmt: skip
def test_a_leaf_that_maps_the_pfn_of_another_page_breaks_r16(
    order: Order, page: int, pfn: int, evidence: str
) -> None:
    outcome = after_inserting(leaf_maps_its_own_pfn, order, page, pfn, pages=8)

    assert (outcome.rule, outcome.evidence) == ("leaf_maps_its_own_pfn", (evidence,))


def test_a_leaf_that_ends_with_its_vma_breaks_nothing() -> None:
    assert after_inserting(leaf_lies_in_its_vma, PMD_ORDER, 4, 4, pages=8).rule == ""


@pytest.mark.parametrize(
    ("order", "page", "pages"), [(PMD_ORDER, 4, 7), (PTE_ORDER, 4, 4), (PTE_ORDER, -1, 4)]
)
def test_a_leaf_that_reaches_out_of_its_vma_breaks_r29(order: Order, page: int, pages: int) -> None:
    outcome = after_inserting(leaf_lies_in_its_vma, order, page, page, pages=pages)

    assert outcome.rule == "leaf_lies_in_its_vma"


@pytest.mark.parametrize(("order", "pfn"), [(PTE_ORDER, 3), (PMD_ORDER, 0)])
def test_a_leaf_that_ends_with_its_bar_breaks_nothing(order: Order, pfn: int) -> None:
    assert after_inserting(leaf_lies_in_its_bar, order, 0, pfn, pages=4).rule == ""


@pytest.mark.parametrize(("order", "pfn"), [(PTE_ORDER, 4), (PMD_ORDER, 4), (PMD_ORDER, 1)])
def test_a_leaf_that_reaches_behind_its_bar_breaks_r16(order: Order, pfn: int) -> None:
    outcome = after_inserting(leaf_lies_in_its_bar, order, 0, pfn, pages=4)

    assert outcome.rule == "leaf_lies_in_its_bar"
    assert outcome.evidence[0].endswith("and the BAR ends at 3800004")


def test_a_rule_about_leaves_has_the_number_of_its_docstring() -> None:
    assert leaf_maps_its_own_pfn.rule.number == "R16"
    assert leaf_lies_in_its_bar.rule.number == "R16"
    assert leaf_lies_in_its_vma.rule.number == "R29"


def test_a_leaf_rule_that_cannot_be_called_as_one_is_refused() -> None:
    def two(lab: Any, vma: Any) -> Iterator[str]:
        """It lacks the leaf."""
        yield from ()

    def tells(lab: Any, vma: Any, leaf: Any) -> bool:
        """It yields nothing."""
        return True

    with pytest.raises(ModelError, match=r"leaf rule two, at line \d+, must take \(lab, vma, leaf"):
        leaf_rule(two)  # type: ignore[arg-type]
    with pytest.raises(ModelError, match="leaf rule tells must yield its evidence"):
        leaf_rule(tells)  # type: ignore[arg-type]
