"""Unpack what kernels and modules are packed with: xz, gzip or zstd."""

from pathlib import Path
from typing import Any

from pfnlab.host.errors import HostError

XZ = b"\xfd7zXZ\x00"
GZIP = b"\x1f\x8b\x08"
ZSTD = b"\x28\xb5\x2f\xfd"
SUFFIXES = (".xz", ".gz", ".zst")


def decompress(data: bytes) -> bytes:
    """What is packed in `data`, or `data` itself if it has none of the three magic numbers.

    Bytes behind the end of a packed stream are left out.  Raises HostError for a stream that is
    damaged, and for zstd where neither Python nor a tool has it.
    """
    for magic, unpack in ((XZ, _xz), (GZIP, _gzip), (ZSTD, _zstd)):
        if data.startswith(magic):
            return unpack(data)
    return data


def read_unpacked(path: Path) -> bytes:
    """What a file has, unpacked.  Raises HostError also if it is not packed as its name says."""
    data = path.read_bytes()
    unpacked = decompress(data)
    if unpacked is data and path.suffix in SUFFIXES:
        raise HostError(f"damaged: it is no {path.suffix} file")
    return unpacked


def whole(unpacker: Any, unpacked: bytes) -> bytes:
    """What was unpacked, if that came to its end; raises HostError."""
    if not unpacker.eof:
        raise HostError("damaged: it is cut short")
    return unpacked


# Each imports what it needs when it is called: most callers have nothing that is packed.
def _xz(data: bytes) -> bytes:
    import lzma

    unpacker = lzma.LZMADecompressor()
    try:
        return whole(unpacker, unpacker.decompress(data))
    except lzma.LZMAError as error:
        raise HostError(f"damaged: {error}") from error


def _gzip(data: bytes) -> bytes:
    import zlib

    unpacker = zlib.decompressobj(wbits=31)
    try:
        return whole(unpacker, unpacker.decompress(data))
    except zlib.error as error:
        raise HostError(f"damaged: {error}") from error


def _zstd(data: bytes) -> bytes:
    import importlib

    try:
        zstd = importlib.import_module("compression.zstd")  # Python 3.14
    except ModuleNotFoundError:
        return _zstd_by_tool(data)
    unpacker = zstd.ZstdDecompressor()
    try:
        return whole(unpacker, unpacker.decompress(data))
    except zstd.ZstdError as error:
        raise HostError(f"damaged: {error}") from error


def _zstd_by_tool(data: bytes) -> bytes:
    import shutil
    import subprocess

    tool = shutil.which("zstd")
    if tool is None:
        raise HostError("packed with zstd: install the package zstd")
    done = subprocess.run([tool, "-dc"], input=data, capture_output=True, check=False)
    if done.returncode:
        raise HostError(f"damaged: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout
