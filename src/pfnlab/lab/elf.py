"""The segments of an ELF file: what is in memory when it runs."""

import struct

MAGIC = b"\x7fELF"
PT_NOTE = 4


def segments(data: bytes) -> list[tuple[int, int, int]]:
    """Kind, offset and size of the segments of a 64-bit ELF file."""
    (table,) = struct.unpack_from("<Q", data, 0x20)
    each, count = struct.unpack_from("<HH", data, 0x36)
    found = []
    for index in range(count):
        place = table + index * each
        if place + 56 > len(data):
            break
        kind, _, start, _, _, size = struct.unpack_from("<IIQQQQ", data, place)
        found.append((kind, start, size))
    return found


def without_debugging(data: bytes) -> bytes:
    """A program or library up to where its segments end; anything else as it is.

    Behind them lie symbols and debugging information, of which loading needs nothing.
    """
    if not data.startswith(MAGIC):
        return data
    return data[: max((start + size for _, start, size in segments(data)), default=len(data))]
