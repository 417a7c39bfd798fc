"""The address that gives the most, and the one that the kernel picks."""

from typing import Any

import pytest

from pfnlab import ModelError, best_address
from pfnlab.cost.address import END_OF_USER_SPACE, natural_address
from pfnlab.kernel.geometry import GiB, KiB, MiB, TiB
from pfnlab.kernel.profile import KERNELS, find_kernel
from tests.cost.asking import asked


@pytest.mark.parametrize(
    ("size", "offset", "bar_address", "expected"),
    [
        (4 * GiB, 0, 0, 0x7F0000000000),
        (32 * GiB, 0x600000, 0, 0x7F0000600000),
        (64 * MiB, 0, 16 * MiB, 0x7F0001000000),
        (64 * MiB, 1008 * MiB, 0, 0x7F0000000000),
        (64 * MiB, 1008 * MiB + 8 * KiB, 0, 0x7F0000002000),
        (GiB, 512 * MiB, 0, 0x7F0000000000),
        (8 * KiB, 1020 * KiB, 0, 0x7F0000000000),
    ],
)
def test_the_best_address_agrees_with_the_physical_one_as_far_as_it_helps(
    size: int, offset: int, bar_address: int, expected: int
) -> None:
    assert best_address(size, offset, bar_address) == expected


@pytest.mark.parametrize(
    ("size", "offset"),
    [(3 * GiB, 0), (3 * GiB, 6 * MiB), (96 * MiB, 992 * MiB), (GiB, 512 * MiB), (GiB, 12 * KiB)],
)
@pytest.mark.slow
def test_no_other_address_gives_more_leaves_or_needs_less_tables(size: int, offset: int) -> None:
    def rank(address: int) -> tuple[int, int, int]:
        state = asked(size, vma=hex(address), offset=offset, bar_size=4 * GiB).step("touch")
        leaves = sum(state.state.get(f"leaves {level}", 0) for level in ("pte", "pmd", "pud"))
        return leaves, state.tables, state.faults

    best = rank(best_address(size, offset))
    physical = offset % GiB
    others = {0, 4 * KiB, 2 * MiB, GiB - 2 * MiB, 512 * MiB, physical, physical % (2 * MiB)}
    others |= {(physical + 2 * MiB) % GiB, GiB - 64 * MiB + physical % (2 * MiB)}

    assert all(best <= rank(0x7E0000000000 + other) for other in sorted(others))


@pytest.mark.parametrize("wrong", [(0, 0, 0), (4096, 1, 0), (4096, 0, 5), (-4096, 0, 0), (5, 0, 0)])
def test_what_is_no_window_has_no_best_address(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ModelError, match="multiples of 4 KiB"):
        best_address(*wrong)


@pytest.mark.parametrize("size", [TiB, 3 * TiB + 4 * KiB, 64 * TiB, 127 * TiB])
def test_what_is_larger_than_1_tib_begins_further_down(size: int) -> None:
    best = best_address(size, offset=6 * MiB)

    assert best % GiB == 6 * MiB
    assert best > 0
    assert best + size < END_OF_USER_SPACE


@pytest.mark.parametrize("size", [128 * TiB, 1 << 60])
def test_what_is_larger_than_user_space_has_no_address(size: int) -> None:
    with pytest.raises(ModelError, match=f"a mapping of {size:#x} bytes does not lie between"):
        best_address(size)


@pytest.mark.parametrize("wrong", [("4K",), (4096.0,), (4096, None), (4096, 0, "1G")])
def test_what_is_no_number_of_bytes_is_refused_by_name(wrong: tuple[Any, ...]) -> None:
    name = ("size", "offset", "bar_address")[len(wrong) - 1]

    with pytest.raises(ModelError, match=f"^{name} {wrong[-1]!r} is no number of bytes"):
        best_address(*wrong)


def test_only_kernels_with_the_accident_align_an_mmap_without_an_address() -> None:
    aligned = {
        name
        for name, kernel in KERNELS.items()
        if natural_address(4 * GiB, 2 * MiB, kernel) % (2 * MiB) == 0
    }

    assert aligned == {"v6.10", "v6.12", "v6.12.117"}
    assert natural_address(4 * GiB + 4 * KiB, 0, find_kernel("v6.12")) % (2 * MiB)
