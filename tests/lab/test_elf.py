"""What a guest loads of a program."""

import struct

import pytest

from pfnlab.lab.elf import PT_NOTE, segments, without_debugging

PT_LOAD = 1


def elf(*parts: tuple[int, int, int]) -> bytes:
    """Segments by kind, offset and size, and debugging information behind them."""
    head = bytearray(64)
    head[:4] = b"\x7fELF"
    struct.pack_into("<Q", head, 0x20, 64)
    struct.pack_into("<HH", head, 0x36, 56, len(parts))
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 0, start, 0, 0, size, size, 0) for kind, start, size in parts
    )
    return (bytes(head) + table).ljust(0x1000, b"\0") + b"debugging"


def test_segments_are_told_by_kind_and_place() -> None:
    parts = [(PT_LOAD, 0, 0x800), (PT_NOTE, 0x400, 0x20)]
    assert segments(elf(*parts)) == parts


def test_what_no_segment_has_is_left_out() -> None:
    whole = elf((PT_LOAD, 0x200, 0x600), (PT_NOTE, 0x400, 0x20))
    assert without_debugging(whole) == whole[:0x800]


@pytest.mark.parametrize("data", [b"text", elf()])
def test_what_has_no_segments_is_left_as_it_is(data: bytes) -> None:
    assert without_debugging(data) == data
