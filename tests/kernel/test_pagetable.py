"""Leaves at each level, the slots that take them, and what a zap clears."""

import pytest

from pfnlab.kernel import (
    PAGE_SIZE,
    PMD_ORDER,
    PUD_ORDER,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    Leaf,
    VmFault,
    vmf_insert_pfn,
    vmf_insert_pfn_pmd,
    vmf_insert_pfn_pud,
    zap_vma_ptes,
)
from pfnlab.kernel.fault_codes import FaultFlag
from pfnlab.kernel.geometry import PTE_ORDER
from pfnlab.kernel.pagetable import TABLE, pmd_alloc, walk
from tests.kernel.alone import Place, alone, leaves_seen

PMD = PAGE_SIZE << PMD_ORDER
PUD = PAGE_SIZE << PUD_ORDER
BASE = 0x7F0000000000
PFN = 0x3800000


def insert(place: Place, order: int, offset: int = 0, pfn: int | None = None) -> object:
    """Install a leaf at an offset of the mapping, as the function of that level does."""
    address = place.vma.vm_start + offset
    vmf = VmFault(place.vma, address, 0, FaultFlag(0))
    if pfn is None:
        pfn = place.vdev.bar_pfn(offset // PAGE_SIZE)
    with place.mm.mmap_lock.read():
        if order == PUD_ORDER:
            return vmf_insert_pfn_pud(vmf, pfn, write=False)
        if order == PMD_ORDER:
            return vmf_insert_pfn_pmd(vmf, pfn, write=False)
        return vmf_insert_pfn(place.vma, address, pfn)


def zap(place: Place, offset: int, size: int) -> None:
    with place.mm.mmap_lock.read():
        zap_vma_ptes(place.vma, place.vma.vm_start + offset, size)


def shown(place: Place) -> list[str]:
    return [str(leaf) for leaf in leaves_seen(place.mm)]


@pytest.mark.parametrize(
    ("order", "text", "slots"),
    [
        (PTE_ORDER, f"pte {BASE:x} -> pfn {PFN:x}", 2),
        (PMD_ORDER, f"pmd {BASE:x} -> pfn {PFN:x}", 1),
        (PUD_ORDER, f"pud {BASE:x} -> pfn {PFN:x}", 0),
    ],
)
def test_a_leaf_lies_under_the_tables_of_its_level(order: int, text: str, slots: int) -> None:
    def code(place: Place) -> tuple[object, list[str], tuple[object, ...]]:
        code = insert(place, order)
        return code, shown(place), tuple(walk(place.mm, BASE))

    fault, leaves, path = alone(code, pages=16).returned

    assert fault == VM_FAULT_NOPAGE
    assert leaves == [text]
    assert path[:slots] == (TABLE,) * slots
    assert isinstance(path[slots], Leaf)
    assert path[slots + 1 :] == (None,) * (2 - slots)


def test_a_walk_finds_a_large_leaf_from_any_of_its_pages() -> None:
    def code(place: Place) -> list[bool]:
        insert(place, PMD_ORDER, PMD)
        return [walk(place.mm, BASE + at).leaf is not None for at in range(0, 3 * PMD, PAGE_SIZE)]

    assert alone(code, pages=16).returned == [False] * 4 + [True] * 4 + [False] * 4


@pytest.mark.parametrize("second", [PTE_ORDER, PMD_ORDER, PUD_ORDER])
@pytest.mark.parametrize("first", [PTE_ORDER, PMD_ORDER, PUD_ORDER])
def test_an_insert_into_a_taken_slot_changes_nothing(first: int, second: int) -> None:
    def code(place: Place) -> tuple[object, list[str], list[str]]:
        insert(place, first)
        before = shown(place)
        fault = insert(place, second, pfn=PFN + 64)
        return fault, before, shown(place)

    fault, before, after = alone(code, pages=16).returned

    # A page finds no table under a larger leaf.
    assert fault == (VM_FAULT_OOM if second == PTE_ORDER < first else VM_FAULT_NOPAGE)
    assert len(before) == 1
    assert after == before


def test_pmd_alloc_does_not_replace_a_leaf() -> None:
    def code(place: Place) -> tuple[bool, list[str]]:
        insert(place, PUD_ORDER)
        return pmd_alloc(place.mm, BASE).leaf is not None, shown(place)

    assert alone(code, pages=16).returned == (True, [f"pud {BASE:x} -> pfn {PFN:x}"])


def test_a_pmd_leaf_drops_the_low_bits_of_its_pfn() -> None:
    def code(place: Place) -> list[str]:
        insert(place, PMD_ORDER, pfn=PFN + 7)
        return shown(place)

    assert alone(code, pages=16).returned == [f"pmd {BASE:x} -> pfn {PFN + 4:x}"]


def test_a_pud_leaf_drops_more_of_them() -> None:
    def code(place: Place) -> list[str]:
        insert(place, PUD_ORDER, pfn=PFN + 31)
        return shown(place)

    assert alone(code, pages=16).returned == [f"pud {BASE:x} -> pfn {PFN + 16:x}"]


def test_a_page_keeps_every_bit_of_its_pfn() -> None:
    def code(place: Place) -> list[str]:
        insert(place, PTE_ORDER, pfn=PFN + 7)
        return shown(place)

    assert alone(code).returned == [f"pte {BASE:x} -> pfn {PFN + 7:x}"]


@pytest.mark.parametrize("order", [PMD_ORDER, PUD_ORDER])
def test_a_zap_of_one_page_clears_the_larger_leaf_over_it(order: int) -> None:
    def code(place: Place) -> list[str]:
        insert(place, order)
        zap(place, PAGE_SIZE, PAGE_SIZE)
        return shown(place)

    assert alone(code, pages=16).returned == []


def test_a_zap_leaves_the_pages_beside_its_range() -> None:
    def code(place: Place) -> list[str]:
        for page in range(8):
            insert(place, PTE_ORDER, page * PAGE_SIZE)
        zap(place, 2 * PAGE_SIZE, 4 * PAGE_SIZE)
        return shown(place)

    left = [0, 1, 6, 7]
    assert alone(code, pages=16).returned == [
        f"pte {BASE + page * PAGE_SIZE:x} -> pfn {PFN + page:x}" for page in left
    ]


def test_a_zap_keeps_the_tables() -> None:
    def code(place: Place) -> tuple[object, ...]:
        insert(place, PTE_ORDER)
        zap(place, 0, PUD)
        return tuple(walk(place.mm, BASE))

    assert alone(code, pages=16).returned == (TABLE, TABLE, None)


def test_a_zap_does_not_go_beyond_the_vma() -> None:
    def code(place: Place) -> list[str]:
        other = place.lab.mmap(place.vdev, address=BASE + 4 * PAGE_SIZE)
        place.lab.touch(other)
        zap(place, 0, 64 * PAGE_SIZE)
        return shown(place)

    assert alone(code).returned == [f"pmd {BASE + 4 * PAGE_SIZE:x} -> pfn {PFN:x}"]
