"""The notes of an ELF file: what else its makers wanted to say of it."""

import struct
from collections.abc import Iterator

HEADER = struct.Struct("<3I")  # sizes of name and value, kind


def elf_notes(data: bytes) -> Iterator[tuple[bytes, int, bytes]]:
    """Name, kind and value of each, out of the bytes of a segment of notes."""
    place = 0
    while place + HEADER.size <= len(data):
        name_size, size, kind = HEADER.unpack_from(data, place)
        name = place + HEADER.size
        value = name + -(-name_size // 4) * 4
        yield data[name : name + name_size], kind, data[value : value + size]
        place = value + -(-size // 4) * 4
