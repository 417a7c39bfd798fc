"""The uncompressed kernel of a bzImage: a guest without KVM boots it a second or two faster.

Documentation/arch/x86/boot.rst has the header of a bzImage.
"""

import os
import struct
from pathlib import Path

from pfnlab.host.compressed import ZSTD, decompress
from pfnlab.host.elf_notes import elf_notes
from pfnlab.host.errors import HostError
from pfnlab.lab.elf import PT_NOTE, segments
from pfnlab.lab.errors import LabError
from pfnlab.lab.files import digest, least_used, mark, written

KEPT = 8  # of 60 MB each
MAGIC = b"HdrS"
SECTOR = 512
XEN_PVH_ENTRY = 18  # XEN_ELFNOTE_PHYS32_ENTRY
BTF = struct.pack("=HBBI", 0xEB9F, 1, 0, 24)  # how it begins: magic, version, size of the header


def is_bz_image(data: bytes) -> bool:
    """By its magic number; the first 0x210 bytes are enough."""
    return data[0x202:0x206] == MAGIC


def check_whole(path: Path) -> None:
    """Raise LabError for a bzImage or vmlinux that is cut short, or is neither."""
    with path.open("rb") as file:
        head = file.read(0x1000)
    if is_bz_image(head):
        whole = _setup_size(head) + struct.unpack_from("<I", head, 0x1F4)[0] * 16
    elif head.startswith(b"\x7fELF"):
        whole = max((start + size for _, start, size in segments(head)), default=0)
    else:
        raise LabError(f"{path}: neither a bzImage nor a vmlinux")
    size = path.stat().st_size
    if size < whole:
        raise LabError(f"{path}: cut short: it has {size:,} bytes of at least {whole:,}")


def banner(path: Path) -> str:
    """What the kernel prints of its version: "6.1.0-56-amd64 (debian-...) #1 SMP ...", or ""."""
    with path.open("rb") as file:
        head = file.read(0x10000)
        if is_bz_image(head):
            start = struct.unpack_from("<H", head, 0x20E)[0] + SECTOR
            return head[start:].split(b"\0", 1)[0].decode(errors="replace")
        data = head + file.read()
    found = data.find(b"Linux version ")
    if found < 0:
        return ""
    line = data[found : found + 1000].split(b"\n", 1)[0].split(b"\0", 1)[0]
    return line.decode(errors="replace").removeprefix("Linux version ")


def btf_of(image: Path) -> bytes:
    """The types of a vmlinux, from where they begin, up to the end of the file; b"" without any."""
    data = image.read_bytes()
    start = data.find(BTF)
    return data[start:] if start >= 0 else b""


def fastest_image(image: Path, cache: Path) -> Path:
    """A vmlinux of the image in `cache`, or the image where there is no such thing to boot."""
    with image.open("rb") as file:
        if not is_bz_image(file.read(SECTOR * 2)):
            return image
    name = digest(mark(image.resolve()))
    made = cache / "vmlinux" / name
    if not made.exists():
        try:
            unpacked = decompress(_payload(image.read_bytes()))
        except HostError:
            return image  # packed with something that Python does not have: it boots all the same
        if not _boots_as_pvh(unpacked):
            return image
        with written(made) as file:
            file.write(unpacked)
        for old in least_used(made.parent.glob("[0-9a-f]*"), KEPT):
            old.unlink(missing_ok=True)
    os.utime(made)
    return made


def _setup_size(head: bytes) -> int:
    return ((head[0x1F1] or 4) + 1) * SECTOR


def _payload(data: bytes) -> bytes:
    offset, length = struct.unpack_from("<II", data, 0x248)
    start = _setup_size(data) + offset
    payload = data[start : start + length]
    # The build appends the unpacked size, which zstd takes for a second frame.
    return payload[:-4] if payload.startswith(ZSTD) else payload


def _boots_as_pvh(data: bytes) -> bool:
    """Whether QEMU can boot it: by the note that has the 32-bit entry."""
    if not data.startswith(b"\x7fELF"):
        return False
    return any(
        name == b"Xen\0" and note == XEN_PVH_ENTRY
        for kind, start, size in segments(data)
        if kind == PT_NOTE
        for name, note, _value in elf_notes(data[start : start + size])
    )
