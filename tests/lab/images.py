"""Kernels that are made up: an image with a header, and a package that has it."""

import struct
from pathlib import Path

BANNER = "{} (builder@host) #1 SMP PREEMPT_DYNAMIC Debian {} (2026-10-01)"


def bz_image(release: str, package: str = "1.0-1", payload: bytes = bytes(4096)) -> bytes:
    """A header, a setup part of one sector more, and a body that is the payload."""
    data = bytearray(2 * 512)
    data[0x1F1] = 1
    struct.pack_into("<I", data, 0x1F4, len(payload) // 16)
    struct.pack_into("<II", data, 0x248, 0, len(payload))
    data[0x202:0x206] = b"HdrS"
    struct.pack_into("<H", data, 0x20E, 0x300 - 512)
    text = BANNER.format(release, package).encode() + b"\0"
    data[0x300 : 0x300 + len(text)] = text
    return bytes(data) + payload


def package(folder: Path, release: str, version: str) -> Path:
    (folder / "boot").mkdir(parents=True)
    (folder / "lib" / "modules" / release / "kernel").mkdir(parents=True)
    image = folder / "boot" / f"vmlinuz-{release}"
    image.write_bytes(bz_image(release, f"{version}-1"))
    return image
