"""A kernel is unpacked if QEMU can boot it so, and boots as it is if not."""

import gzip
import os
import struct
from pathlib import Path

import pytest

from pfnlab.lab import vmlinux
from pfnlab.lab.errors import LabError
from pfnlab.lab.vmlinux import KEPT, banner, check_whole, fastest_image
from tests.lab.images import bz_image

PVH_ENTRY, OTHER_NOTE = 18, 1


def elf(note: int = PVH_ENTRY, text: bytes = b"") -> bytes:
    """An ELF file with two notes of Xen's, one of them of that kind, and a text behind them."""
    notes = b"".join(
        struct.pack("<III4s8s", 4, 8, kind, b"Xen\0", bytes(8)) for kind in (OTHER_NOTE, note)
    )
    data = bytearray(64)
    data[:4] = b"\x7fELF"
    struct.pack_into("<Q", data, 0x20, 64)
    struct.pack_into("<HH", data, 0x36, 56, 1)
    segment = struct.pack("<IIQQQQQQ", 4, 0, 64 + 56, 0, 0, len(notes), len(notes), 4)
    return bytes(data) + segment + notes + text


def image(folder: Path, payload: bytes, name: str = "bzImage") -> Path:
    path = folder / name
    path.write_bytes(bz_image("6.12.9", payload=payload))
    return path


def test_a_packed_kernel_is_unpacked_once(tmp_path: Path) -> None:
    path = image(tmp_path, gzip.compress(elf()))

    made = fastest_image(path, tmp_path)

    assert made.parent == tmp_path / "vmlinux"
    assert made.read_bytes() == elf()
    made.write_bytes(b"not written again")
    assert fastest_image(path, tmp_path) == made
    assert made.read_bytes() == b"not written again"


def test_an_image_that_has_changed_is_unpacked_again(tmp_path: Path) -> None:
    before = fastest_image(image(tmp_path, gzip.compress(elf())), tmp_path)

    after = fastest_image(image(tmp_path, gzip.compress(elf(text=b"another"))), tmp_path)

    assert after != before
    assert after.read_bytes() == elf(text=b"another")


def test_the_size_behind_a_zstd_stream_is_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[bytes] = []

    def decompress(data: bytes) -> bytes:
        given.append(data)
        return elf()

    monkeypatch.setattr(vmlinux, "decompress", decompress)
    fastest_image(image(tmp_path, b"\x28\xb5\x2f\xfdstream!SIZE"), tmp_path)

    assert given == [b"\x28\xb5\x2f\xfdstream!"]


@pytest.mark.parametrize(
    "payload",
    [
        pytest.param(gzip.compress(elf(OTHER_NOTE)), id="no entry for QEMU"),
        pytest.param(gzip.compress(b"a script"), id="no ELF file"),
        pytest.param(b"\x89LZO packed".ljust(64, b"\0"), id="packed in another way"),
        pytest.param(gzip.compress(elf())[:20].ljust(64, b"\0"), id="damaged"),
    ],
)
def test_what_does_not_boot_unpacked_boots_as_it_is(tmp_path: Path, payload: bytes) -> None:
    path = image(tmp_path, payload)

    assert fastest_image(path, tmp_path) == path
    assert not list((tmp_path / "vmlinux").glob("*"))


def test_a_vmlinux_boots_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux.own"
    path.write_bytes(elf())

    assert fastest_image(path, tmp_path) == path


def test_unpacked_kernels_that_were_not_used_for_the_longest_are_removed(tmp_path: Path) -> None:
    made = []
    for number in range(KEPT):
        made.append(fastest_image(image(tmp_path, gzip.compress(elf()), str(number)), tmp_path))
        os.utime(made[-1], (number, number))
    fastest_image(tmp_path / "0", tmp_path)  # used again

    last = fastest_image(image(tmp_path, gzip.compress(elf()), "last"), tmp_path)

    left = set((tmp_path / "vmlinux").iterdir())
    assert left == {made[0], *made[2:], last}


def test_a_vmlinux_tells_its_release(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(elf(text=b"\0Linux version 6.12.9 (me@here) #1 SMP\n\0more"))

    assert banner(path) == "6.12.9 (me@here) #1 SMP"


def test_a_vmlinux_without_a_release_tells_none(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(elf())

    assert banner(path) == ""


def test_a_vmlinux_that_is_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "vmlinux"
    path.write_bytes(elf())
    check_whole(path)
    path.write_bytes(elf()[:-1])

    with pytest.raises(LabError, match=r"cut short: it has 167 bytes of at least 168"):
        check_whole(path)
