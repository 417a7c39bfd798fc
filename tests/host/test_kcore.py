"""A small /proc/kcore and a small /proc/kallsyms."""

import struct
from pathlib import Path

import pytest

from pfnlab.host.errors import HostError
from pfnlab.host.kcore import PROGRAM_HEADER, Kcore, symbol_addresses
from tests.host.trees import put

DIRECT, DIRECT_5, TEXT = 0xFFFF888000000000, 0xFF11000000000000, 0xFFFFFFFF81000000


def core(direct: int) -> bytes:
    """Notes, the text at physical 16 MiB, and 8 KiB of memory from physical 4 KiB on."""
    headers = [
        (4, 0, 0, 0, 0, 0, 0, 0),
        (1, 7, 0x1000, TEXT, 0x1000000, 16, 16, 4096),
        (1, 7, 0x2000, direct + 0x1000, 0x1000, 8192, 8192, 4096),
    ]
    elf = bytearray(64)
    elf[:4] = b"\x7fELF"
    struct.pack_into("=Q", elf, 32, 64)
    struct.pack_into("=2H", elf, 54, PROGRAM_HEADER.size, len(headers))
    data = bytes(elf) + b"".join(PROGRAM_HEADER.pack(*header) for header in headers)
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
    kcore.close()


def test_what_is_no_core_is_an_error(tmp_path: Path) -> None:
    put(tmp_path / "kcore", b"text")
    with pytest.raises(HostError, match="is no ELF file"):
        Kcore(tmp_path / "kcore")
    with pytest.raises(HostError, match="cannot open"):
        Kcore(tmp_path / "none")


def test_addresses_of_symbols_are_found_by_their_whole_names(tmp_path: Path) -> None:
    put(
        tmp_path / "kallsyms",
        "ffffffff82a0c940 D init_task\nffffffff82a00000 D init_task_2\nffffffff81000000 T _text\n",
    )
    found = symbol_addresses(["init_task", "nothing"], tmp_path / "kallsyms")
    assert found == {"init_task": 0xFFFFFFFF82A0C940}


def test_hidden_addresses_are_an_error(tmp_path: Path) -> None:
    put(tmp_path / "kallsyms", "0000000000000000 D init_task\n")
    with pytest.raises(HostError, match="hides addresses: it needs root"):
        symbol_addresses(["init_task"], tmp_path / "kallsyms")
    with pytest.raises(HostError, match="cannot read"):
        symbol_addresses(["init_task"], tmp_path / "none")
