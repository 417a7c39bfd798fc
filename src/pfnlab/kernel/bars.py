"""Where the BARs of a device lie, as PCI has it: naturally aligned, and each by itself.

Model: a size need not be a power of two; such a BAR is aligned as the next power is.
"""

from collections.abc import Sequence

from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import (
    END_OF_PHYSICAL_ADDRESSES,
    PAGE_SIZE,
    PUD_ORDER,
    TiB,
    align_up,
)

BarRange = tuple[int, int]  # physical address, size in bytes
BAR_ADDRESS = 0x3800000000


def place_bars(
    sizes: Sequence[int], address: int | None, devices: Sequence[Sequence[BarRange]]
) -> tuple[BarRange, ...]:
    """BARs one after the other, from an address on, or else behind those of other devices."""
    others = [bar for bars in devices for bar in bars]
    for size in sizes:
        if size <= 0 or size % PAGE_SIZE:
            raise ModelError(f"a BAR of {size} bytes; the size must be a multiple of 4 KiB")
    if address is None:
        behind = max((start + size for start, size in others), default=0)
        address = max(BAR_ADDRESS + len(devices) * TiB, align_up(behind, TiB))
        address = align_up(address, natural_alignment(sizes[0]))
    elif address < 0 or address % natural_alignment(sizes[0]):
        raise ModelError(
            f"bar_address={address:#x} is no multiple of {natural_alignment(sizes[0]):#x}, "
            "to which a BAR of this size is aligned"
        )
    placed: list[BarRange] = []
    for size in sizes:
        start = align_up(address, natural_alignment(size))
        check_physical(start, size)
        check_free(start, size, others)
        placed.append((start, size))
        address = start + max(size, PAGE_SIZE << PUD_ORDER)
    return tuple(placed)


def check_physical(start: int, size: int) -> None:
    if start + size > END_OF_PHYSICAL_ADDRESSES:
        raise ModelError(
            f"a BAR of {size:#x} bytes at {start:#x} does not end below "
            f"{END_OF_PHYSICAL_ADDRESSES:#x}, where physical addresses do"
        )


def check_free(start: int, size: int, others: Sequence[BarRange]) -> None:
    for other, length in others:
        if start < other + length and other < start + size:
            raise ModelError(f"a BAR at {start:#x} overlaps the one at {other:#x}")


def natural_alignment(size: int) -> int:
    return 1 << (size - 1).bit_length()
