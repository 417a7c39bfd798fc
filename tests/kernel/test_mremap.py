"""mremap: a mapping shrinks or moves, and device memory cannot grow."""

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import EFAULT, EINVAL, PAGE_SIZE, PMD_ORDER, VM_FAULT_SIGSEGV, Lab, TiB
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.rules import RULES
from tests.kernel.alone import Place, alone, leaves_seen

ELSEWHERE = MMAP_BASE + TiB


def test_a_mapping_shrinks_at_its_end() -> None:
    def code(place: Place) -> tuple[int, int, object]:
        small = place.lab.mremap(place.mapping, new_size=PAGE_SIZE)
        (vma,) = place.mm.vmas
        return small.error, vma.size, place.lab.touch(place.mapping, PAGE_SIZE)

    assert alone(code).returned == (0, PAGE_SIZE, VM_FAULT_SIGSEGV)


def test_leaves_move_with_the_mapping() -> None:
    def code(place: Place) -> object:
        place.lab.touch(place.mapping)
        moved = place.lab.mremap(place.mapping, new_address=ELSEWHERE)
        (vma,) = place.mm.vmas
        here, there = leaves_seen(place.mm), leaves_seen(place.mm, base=ELSEWHERE)
        assert moved.address == vma.vm_start == ELSEWHERE
        return len(here), [(leaf.order, leaf.addr, leaf.pfn) for leaf in there]

    assert alone(code).returned == (0, [(PMD_ORDER, ELSEWHERE, 0x3800000)])


def test_a_moved_mapping_shows_the_same_pages() -> None:
    def code(place: Place) -> list[int]:
        moved = place.lab.mremap(place.mapping, new_address=ELSEWHERE + PAGE_SIZE)
        for page in range(4):
            place.lab.touch(moved, page * PAGE_SIZE)
        return [leaf.pfn for leaf in leaves_seen(place.mm, base=ELSEWHERE)]

    outcome = alone(code, leaf_rules=RULES[1:])

    assert outcome.rule == ""
    assert outcome.returned == [0x3800000 + page for page in range(4)]


def test_a_move_replaces_what_was_at_the_new_address() -> None:
    def code(place: Place) -> list[tuple[int, int]]:
        place.lab.mmap(place.vdev, address=ELSEWHERE, size=4 * PAGE_SIZE)
        place.lab.mremap(place.mapping, new_address=ELSEWHERE, new_size=2 * PAGE_SIZE)
        return sorted((vma.vm_start, vma.size // PAGE_SIZE) for vma in place.mm.vmas)

    assert alone(code).returned == [(ELSEWHERE, 2), (ELSEWHERE + 2 * PAGE_SIZE, 2)]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"new_size": 8 * PAGE_SIZE}, -EFAULT),
        ({"new_size": 8 * PAGE_SIZE, "new_address": ELSEWHERE}, -EFAULT),
        ({"new_address": ELSEWHERE, "dontunmap": True}, -EINVAL),
        ({"new_address": ELSEWHERE + 1}, -EINVAL),
        ({"new_address": MMAP_BASE + PAGE_SIZE}, -EINVAL),
        ({"new_size": 0}, -EINVAL),
    ],
    ids=str,
)
def test_device_memory_cannot_grow_nor_be_moved_by_half(
    arguments: dict[str, int], error: int
) -> None:
    def code(place: Place) -> tuple[int, int]:
        result = place.lab.mremap(place.mapping, **arguments)  # type: ignore[arg-type]
        return result.error, len(place.mm.vmas)

    assert alone(code).returned == (error, 1)


def test_the_copy_is_behind_the_original_in_i_mmap() -> None:
    """Or a zap could pass the copy before it gets the leaves: R21."""
    orders: list[list[bool]] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(4 * PAGE_SIZE)
        mapping = lab.mmap(vdev)

        @lab.task
        def process() -> None:
            lab.touch(mapping)
            lab.mremap(mapping, new_address=ELSEWHERE)

        @lab.task
        def walker() -> None:
            with vdev.mapping.i_mmap_rwsem.read():
                orders.append([vma.vm_start == ELSEWHERE for vma in vdev.mapping.i_mmap])

    result = explore(Scenario("move", "A walk beside a move.", build), huge_fault.design)

    assert result.verdict == "ok"
    assert [False, True] in orders
    assert [True, False] not in orders


def test_a_mapping_moves_while_memory_is_turned_off() -> None:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(8 * PAGE_SIZE)
        mapping = lab.mmap(vdev)

        @lab.task
        def process() -> None:
            lab.touch(mapping)
            lab.touch(lab.mremap(mapping, new_address=ELSEWHERE))

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)

    result = explore(Scenario("move", "A mapping moves.", build), huge_fault.design)

    assert result.verdict == "ok"
    assert 1 < result.schedules < 200
