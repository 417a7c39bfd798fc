"""Memory types and their bits, against the table of the PAT as Linux programs it."""

import pytest

from pfnlab.engine.errors import ModelError
from pfnlab.kernel import PMD_ORDER, PUD_ORDER, Order
from pfnlab.kernel.geometry import PTE_ORDER
from pfnlab.kernel.pgprot import (
    decode,
    encode,
    pgprot_noncached,
    pgprot_writecombine,
    pgprot_writethrough,
)

TYPES = ["WB", "WC", "UC-", "UC", "WP", "WT"]
LARGE = [PMD_ORDER, PUD_ORDER]


@pytest.mark.parametrize(
    ("memtype", "bits"),
    [("WB", 0), ("WC", 0x08), ("UC-", 0x10), ("UC", 0x18), ("WP", 0x88), ("WT", 0x98)],
)
def test_a_pte_asks_for_a_type_with_these_bits(memtype: str, bits: int) -> None:
    assert encode(memtype, PTE_ORDER) == bits


@pytest.mark.parametrize("memtype", TYPES)
def test_a_pte_has_the_type_it_was_given(memtype: str) -> None:
    assert decode(encode(memtype, PTE_ORDER), PTE_ORDER) == memtype


@pytest.mark.parametrize("order", LARGE, ids=repr)
@pytest.mark.parametrize(
    ("memtype", "taken"),
    [("WB", "WB"), ("WC", "WC"), ("UC-", "UC-"), ("UC", "UC"), ("WP", "WC"), ("WT", "UC")],
)
def test_a_larger_leaf_loses_the_pat_bit(memtype: str, taken: str, order: Order) -> None:
    assert decode(encode(memtype, order), order) == taken


@pytest.mark.parametrize(
    ("memtype", "read"), [("WC", "WP"), ("UC-", "UC-"), ("WB", "WB"), ("UC", "WT")]
)
def test_a_large_leaf_read_as_a_pte_takes_bit_7_for_pat(memtype: str, read: str) -> None:
    assert decode(encode(memtype, PMD_ORDER), PTE_ORDER) == read


def test_the_pgprot_functions_only_add_bits() -> None:
    assert [f("WB") for f in (pgprot_noncached, pgprot_writecombine, pgprot_writethrough)] == [
        "UC-", "WC", "WT",
    ]  # fmt: skip
    assert pgprot_writecombine(pgprot_noncached("WB")) == "UC"


def test_another_word_is_no_memory_type() -> None:
    with pytest.raises(ModelError, match="no memory type is called 'uncached'"):
        encode("uncached", PTE_ORDER)
