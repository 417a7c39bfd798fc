"""munmap: what goes, what stays, and who hears of it."""

from dataclasses import replace

import pytest

from pfnlab import Scenario, explore
from pfnlab.catalogue import all_designs
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.kernel import (
    EINVAL,
    PAGE_SIZE,
    PMD_ORDER,
    VM_FAULT_SIGSEGV,
    Lab,
    i_mmap_lock_read,
    i_mmap_unlock_read,
)
from pfnlab.kernel.munmap import munmap
from pfnlab.kernel.vma import held_for
from pfnlab.rules import RULES
from tests.kernel.alone import Place, alone, leaves_seen


def test_munmap_takes_leaves_and_links_away() -> None:
    def code(place: Place) -> tuple[int, int, int, int]:
        place.lab.touch(place.mapping)
        before = len(leaves_seen(place.mm))
        place.lab.munmap(place.mapping)
        return (
            before,
            len(leaves_seen(place.mm)),
            len(place.vdev.mapping.i_mmap),
            len(place.mm.vmas),
        )

    assert alone(code).returned == (1, 0, 0, 0)


def test_a_touch_after_munmap_is_sigsegv() -> None:
    def code(place: Place) -> object:
        place.lab.munmap(place.mapping)
        return place.lab.touch(place.mapping)

    assert alone(code).returned == VM_FAULT_SIGSEGV


def test_munmap_of_an_address_that_is_not_mapped_is_no_error() -> None:
    assert alone(lambda place: munmap(place.mm, 0x1000, PAGE_SIZE)).returned == 0


def test_munmap_of_an_odd_address_is_einval() -> None:
    assert alone(lambda place: munmap(place.mm, 0x1001, PAGE_SIZE)).returned == -EINVAL


def test_munmap_calls_close_with_mmap_lock_held_for_read() -> None:
    def code(place: Place) -> int:
        with place.vdev.vma_lock:
            place.vdev.vma_list.append(place.vma)
        place.lab.munmap(place.mapping)
        return len(place.vdev.vma_list)

    assert alone(code, design=remap_on_fault.design).returned == 0


def test_a_vma_is_not_used_after_munmap() -> None:
    def code(place: Place) -> object:
        place.lab.munmap(place.mapping)
        return place.vma.vm_start

    outcome = alone(code)

    assert outcome.rule == "no_use_after_free"
    assert outcome.evidence == ("task uses vma 7f0000000000, which has been freed.",)


def ranges(place: Place) -> list[tuple[int, int, int]]:
    """Of each VMA: first page, last page + 1, and its first page of the file."""
    base = place.mapping.address
    return sorted(
        ((vma.vm_start - base) // PAGE_SIZE, (vma.vm_end - base) // PAGE_SIZE, vma.vm_pgoff)
        for vma in place.mm.vmas
    )


@pytest.mark.parametrize(
    ("first", "count", "left"),
    [
        (0, 2, [(2, 8, 2)]),
        (6, 2, [(0, 6, 0)]),
        (2, 3, [(0, 2, 0), (5, 8, 5)]),
        (0, 8, []),
        (6, 9, [(0, 6, 0)]),
        (8, 1, [(0, 8, 0)]),
    ],
)
def test_munmap_of_a_part_leaves_the_rest(
    first: int, count: int, left: list[tuple[int, int, int]]
) -> None:
    def code(place: Place) -> object:
        place.lab.munmap(place.mapping, first * PAGE_SIZE, count * PAGE_SIZE)
        with place.vdev.mapping.i_mmap_rwsem.read():
            assert set(place.vdev.mapping.i_mmap) == set(place.mm.vmas)
        return ranges(place)

    assert alone(code, pages=8).returned == left


def test_the_rest_of_a_cut_mapping_shows_its_own_pages() -> None:
    def code(place: Place) -> list[tuple[int, int]]:
        place.lab.munmap(place.mapping, 2 * PAGE_SIZE, PAGE_SIZE)
        for page in range(8):
            place.lab.touch(place.mapping, page * PAGE_SIZE)
        base = place.mapping.address
        return [((leaf.addr - base) // PAGE_SIZE, leaf.pfn) for leaf in leaves_seen(place.mm)]

    outcome = alone(code, pages=8, leaf_rules=RULES[1:])

    assert outcome.rule == ""
    assert outcome.returned == [(page, 0x3800000 + page) for page in (0, 1, 3, 4)]


def test_a_pmd_leaf_that_is_cut_goes_as_a_whole() -> None:
    def code(place: Place) -> tuple[list[int], list[int]]:
        place.lab.touch(place.mapping)
        before = [leaf.order for leaf in leaves_seen(place.mm)]
        place.lab.munmap(place.mapping, PAGE_SIZE, PAGE_SIZE)
        return before, [leaf.order for leaf in leaves_seen(place.mm)]

    assert alone(code, pages=8).returned == ([PMD_ORDER], [])


def test_one_munmap_takes_several_vmas_and_the_gap_between_them() -> None:
    def code(place: Place) -> object:
        place.lab.munmap(place.mapping, 2 * PAGE_SIZE, 2 * PAGE_SIZE)
        place.lab.munmap(place.mapping, PAGE_SIZE, 6 * PAGE_SIZE)
        return ranges(place)

    assert alone(code, pages=8).returned == [(0, 1, 0), (7, 8, 7)]


def test_close_is_called_for_the_part_that_goes_and_open_for_the_new_one() -> None:
    heard: list[str] = []

    def tell(what: str) -> object:
        return lambda vma: heard.append(
            f"{what} {(vma.vm_start & 0xFFFFF) // PAGE_SIZE} to "
            f"{(vma.vm_end & 0xFFFFF) // PAGE_SIZE}, {held_for(vma.vm_mm.mmap_lock)}"
        )

    ops = replace(huge_fault.design.vm_ops, open=tell("open"), close=tell("close"))
    design = replace(huge_fault.design, name="tells", vm_ops=ops)

    def code(place: Place) -> None:
        heard.clear()
        place.lab.munmap(place.mapping, 2 * PAGE_SIZE, 2 * PAGE_SIZE)

    alone(code, pages=8, design=design)

    assert heard == ["open 0 to 2, write", "open 4 to 8, write", "close 2 to 4, read"]


def test_a_walk_of_i_mmap_never_sees_a_gap_in_a_vma_that_is_cut() -> None:
    seen: set[tuple[int, ...]] = set()

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(4 * PAGE_SIZE)
        mapping = lab.mmap(vdev)

        @lab.task
        def cutter() -> None:
            lab.munmap(mapping, 3 * PAGE_SIZE)

        @lab.task
        def walker() -> None:
            i_mmap_lock_read(vdev.mapping)
            pages = [
                page
                for vma in vdev.mapping.i_mmap
                for page in range(vma.vm_pgoff, vma.vm_pgoff + vma.size // PAGE_SIZE)
            ]
            i_mmap_unlock_read(vdev.mapping)
            seen.add(tuple(sorted(pages)))

    result = explore(Scenario("cut", "A walk beside a cut.", build), huge_fault.design)

    assert result.verdict == "ok"
    assert seen == {(0, 1, 2, 3), (0, 1, 2)}


@pytest.mark.parametrize("name", ["huge_fault", "insert_page_on_fault", "insert_vma_on_fault"])
def test_a_part_goes_while_memory_is_turned_off(name: str) -> None:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(8 * PAGE_SIZE)
        mapping = lab.mmap(vdev)

        @lab.task
        def process() -> None:
            lab.touch(mapping)
            lab.munmap(mapping, 2 * PAGE_SIZE, 2 * PAGE_SIZE)
            lab.touch(mapping)

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)

    result = explore(Scenario("part", "A part goes.", build), all_designs()[name])

    assert result.verdict == "ok"
