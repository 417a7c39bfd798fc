"""A small /proc/kcore."""

import struct
from pathlib import Path

import pytest

from pfnlab.host.errors import HostError
from pfnlab.host.kcore import PROGRAM_HEADER, Kcore
from tests.host.trees import put

DIRECT, DIRECT_5, TEXT = 0xFFFF888000000000, 0xFF11000000000000, 0xFFFFFFFF81000000


NOTES = b"".join(
    struct.pack("=3I", 5, len(text), kind) + b"CORE\0\0\0\0" + text.ljust(8, b"\0")
    for kind, text in ((1, b"status"), (4, b"task"))
)


def core(direct: int, notes: bytes = NOTES) -> bytes:
    """Notes, the text at physical 16 MiB, and 8 KiB of memory from physical 4 KiB on."""
    headers = [
        (4, 0, 0x800, 0, 0, len(notes), 0, 0),
        (1, 7, 0x1000, TEXT, 0x1000000, 16, 16, 4096),
        (1, 7, 0x2000, direct + 0x1000, 0x1000, 8192, 8192, 4096),
    ]
    elf = bytearray(64)
    elf[:4] = b"\x7fELF"
    struct.pack_into("=Q", elf, 32, 64)
    struct.pack_into("=2H", elf, 54, PROGRAM_HEADER.size, len(headers))
    data = bytes(elf) + b"".join(PROGRAM_HEADER.pack(*header) for header in headers)
    data = data.ljust(0x800, b"\0") + notes
    return data.ljust(0x1000, b"\0") + b"T" * 16 + bytes(0xFF0) + b"A" * 4096 + b"B" * 4096


@pytest.mark.parametrize(("direct", "levels"), [(DIRECT, 4), (DIRECT_5, 5)])
def test_memory_is_read_by_both_addresses(tmp_path: Path, direct: int, levels: int) -> None:
    put(tmp_path / "kcore", core(direct))
    kcore = Kcore(tmp_path / "kcore")
    try:
        assert kcore.levels == levels
        assert kcore.virtual(TEXT + 8, 4) == b"TTTT"
        assert kcore.virtual(direct + 0x1FFE, 4) == b"AABB"
        assert kcore.physical(0x2000, 2) == b"BB"
        buffer = bytearray(b"....")
        kcore.physical_into(0x1FFF, memoryview(buffer)[1:3])
        assert buffer == b".AB."
        for read in (kcore.virtual, kcore.physical):
            with pytest.raises(HostError, match=r"0x1000000 is not in .*kcore"):
                read(0x1000000, 8)
    finally:
        kcore.close()


def test_a_core_that_ends_early_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "kcore", core(DIRECT)[:-1])
    kcore = Kcore(tmp_path / "kcore")
    with pytest.raises(HostError, match="ends before"):
        kcore.physical(0x2000, 4096)
    with pytest.raises(HostError, match="ends before"):
        kcore.physical_into(0x2000, memoryview(bytearray(4096)))
    kcore.close()


def test_what_is_no_core_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "kcore", b"text")
    with pytest.raises(HostError, match="is no ELF file"):
        Kcore(tmp_path / "kcore")
    with pytest.raises(HostError, match="cannot open"):
        Kcore(tmp_path / "none")


def test_the_task_of_the_reader_is_among_the_notes(tmp_path: Path) -> None:
    put(tmp_path / "kcore", core(DIRECT))
    kcore = Kcore(tmp_path / "kcore")
    assert kcore.current_task() == b"task"
    kcore.close()


def test_a_core_without_a_task_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "kcore", core(DIRECT, NOTES[:28]))
    kcore = Kcore(tmp_path / "kcore")
    with pytest.raises(HostError, match="no task_struct of its reader"):
        kcore.current_task()
    kcore.close()
