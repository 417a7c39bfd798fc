"""Notes of ELF files."""

import struct

from pfnlab.host.elf_notes import elf_notes


def note(name: bytes, kind: int, value: bytes) -> bytes:
    padded = [part + bytes(-len(part) % 4) for part in (name, value)]
    return struct.pack("<3I", len(name), len(value), kind) + b"".join(padded)


def test_names_and_values_are_padded_to_four_bytes() -> None:
    made = [(b"Xen\0", 18, b"entry"), (b"CORE\0", 4, b""), (b"", 1, b"12345678")]

    assert list(elf_notes(b"".join(note(*each) for each in made))) == made


def test_what_is_too_short_for_a_note_is_none() -> None:
    assert list(elf_notes(note(b"GNU\0", 3, b"id") + b"left")) == [(b"GNU\0", 3, b"id")]
