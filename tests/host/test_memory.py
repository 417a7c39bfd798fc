"""A window lies where its place says, and nobody else's mapping is hurt."""

import os
from collections.abc import Iterator

import pytest

from pfnlab.host import memory
from pfnlab.host.errors import HostError
from pfnlab.host.memory import PMD, PUD, map_device, place_address, reserved
from pfnlab.workload import Place

SIZE = 4 << 20
PHYSICAL = 0x380040200000


@pytest.fixture
def file() -> Iterator[int]:
    descriptor = os.memfd_create("device")
    os.ftruncate(descriptor, SIZE)
    yield descriptor
    os.close(descriptor)


def agree(address: int, size: int) -> bool:
    return (address - PHYSICAL) % size == 0


@pytest.mark.parametrize(
    ("place", "agrees"), [("1g", (True, True)), ("2m", (True, False)), ("4k", (False, False))]
)
def test_a_place_says_how_far_addresses_agree(
    file: int, place: Place, agrees: tuple[bool, bool]
) -> None:
    mapping = map_device(file, 0, SIZE, PHYSICAL, place)
    try:
        assert (agree(mapping.address, PMD), agree(mapping.address, PUD)) == agrees
        assert place_address(mapping.address, PHYSICAL, place) == mapping.address
    finally:
        mapping.unmap()


def mapped_ranges() -> list[tuple[int, int]]:
    with open("/proc/self/maps", encoding="utf-8") as maps:
        parts = [line.split()[0].split("-") for line in maps]
    return [(int(start, 16), int(end, 16)) for start, end in parts]


def test_a_window_shares_no_gib_with_anything_else(file: int) -> None:
    mapping = map_device(file, 0, SIZE, PHYSICAL)
    try:
        first, last = mapping.address // PUD, (mapping.end - 1) // PUD
        others = [
            (start, end)
            for start, end in mapped_ranges()
            if start != mapping.address and end > first * PUD and start < (last + 1) * PUD
        ]
        assert others == []
    finally:
        mapping.unmap()


def test_mmap_chooses_a_natural_place(file: int) -> None:
    mapping = map_device(file, 0, SIZE, PHYSICAL, "natural")
    assert mapping.address % 4096 == 0
    mapping.unmap()
    assert mapping.address == 0


def test_a_given_address_is_taken_or_refused(file: int) -> None:
    with reserved(SIZE, 0, "1g") as address:
        pass
    with pytest.raises((HostError, OSError), match=r"exists|already"):
        map_device(file, 0, SIZE, PHYSICAL, address=address)
    memory.munmap(address, SIZE)
    mapping = map_device(file, 0, SIZE, PHYSICAL, address=address)
    assert mapping.address == address
    mapping.unmap()


def mapped_bytes() -> int:
    return sum(end - start for start, end in mapped_ranges())


def test_only_the_place_itself_stays_reserved() -> None:
    before = mapped_bytes()
    with reserved(SIZE, 0, "1g") as address:
        assert mapped_bytes() >= before + 3 * PUD
    assert mapped_bytes() - before < PUD
    memory.munmap(address, SIZE)


def test_nothing_stays_reserved_after_an_error() -> None:
    before = mapped_bytes()
    with pytest.raises(RuntimeError), reserved(SIZE, 0, "1g"):
        raise RuntimeError
    assert mapped_bytes() - before < PUD


def test_a_mapping_moves_and_agrees_with_where_it_was(file: int) -> None:
    mapping = map_device(file, 0, SIZE, PHYSICAL)
    before = mapping.address
    mapping.move()
    assert mapping.address != before
    assert (mapping.address - before) % PUD == 0
    mapping.move(before)
    assert mapping.address == before
    mapping.unmap()


def test_an_error_of_the_kernel_is_an_oserror() -> None:
    with pytest.raises(OSError, match="munmap"):
        memory.munmap(1, 4096)
    with pytest.raises(OSError, match="madvise hugepage"):
        memory.madvise(1, 4096, "hugepage")
