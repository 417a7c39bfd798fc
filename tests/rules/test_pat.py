"""Memory types of leaves: each rule held, and broken."""

import pytest

from pfnlab.kernel import PAGE_SIZE, PMD_ORDER, Leaf, LeafRule, Order
from pfnlab.kernel.geometry import PTE_ORDER
from pfnlab.kernel.pagetable import set_leaf
from pfnlab.rules import (
    leaf_has_the_reserved_type,
    leaf_has_the_type_asked_for,
    reserved_type_is_that_of_the_first_page,
)
from tests.kernel.alone import Outcome, Place, alone

PFN = 0x3800000


def after_inserting(
    rule: LeafRule, order: Order, prot: str, *, memtype: str | None = "UC-"
) -> Outcome:
    """Insert a leaf of a BAR that its driver has reserved as memtype."""

    def code(place: Place) -> None:
        with place.mm.mmap_lock.read():
            set_leaf(place.vma, Leaf(order, place.vma.vm_start, PFN, prot))

    return alone(code, leaf_rules=(rule,), memtype=memtype)


@pytest.mark.parametrize(
    ("order", "prot", "broken"),
    [
        (PTE_ORDER, "WT", False),
        (PTE_ORDER, "WP", False),
        (PMD_ORDER, "WC", False),
        (PMD_ORDER, "UC-", False),
        (PMD_ORDER, "WT", True),
        (PMD_ORDER, "WP", True),
    ],
)
def test_only_types_with_the_pat_bit_are_wrong_in_a_large_leaf(
    order: Order, prot: str, broken: bool
) -> None:
    outcome = after_inserting(leaf_has_the_type_asked_for, order, prot)

    assert (outcome.rule == "leaf_has_the_type_asked_for") is broken


@pytest.mark.parametrize("order", [PTE_ORDER, PMD_ORDER], ids=repr)
def test_a_leaf_of_another_type_than_reserved_breaks_r32(order: Order) -> None:
    assert after_inserting(leaf_has_the_reserved_type, order, "UC-").rule == ""
    assert after_inserting(leaf_has_the_reserved_type, order, "WB").rule == (
        "leaf_has_the_reserved_type"
    )


@pytest.mark.parametrize(
    "rule", [leaf_has_the_reserved_type, reserved_type_is_that_of_the_first_page],
    ids=lambda rule: rule.rule.name,
)  # fmt: skip
def test_where_nobody_holds_a_type_there_is_nothing_to_compare(rule: LeafRule) -> None:
    assert after_inserting(rule, PMD_ORDER, "WB", memtype=None).rule == ""


def test_a_leaf_in_one_range_has_one_type() -> None:
    outcome = after_inserting(reserved_type_is_that_of_the_first_page, PMD_ORDER, "UC-")

    assert outcome.rule == ""
    assert PAGE_SIZE << PMD_ORDER == 4 * PAGE_SIZE  # the whole BAR


def test_the_rules_have_their_numbers() -> None:
    assert leaf_has_the_type_asked_for.rule.number == "R33"
    assert leaf_has_the_reserved_type.rule.number == "R32"
    assert reserved_type_is_that_of_the_first_page.rule.number == "R28a"
