"""Packed kernels and modules: unpacked whole, or not at all."""

import gzip
import lzma
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from pfnlab.host.compressed import decompress, read_unpacked
from pfnlab.host.errors import HostError

TEXT = bytes(range(256)) * 64
PACKERS: dict[str, Callable[[bytes], bytes]] = {"xz": lzma.compress, "gz": gzip.compress}
if shutil.which("zstd"):
    PACKERS["zst"] = lambda data: subprocess.check_output(["zstd", "-c"], input=data)


@pytest.fixture(params=PACKERS)
def packed(request: pytest.FixtureRequest) -> bytes:
    return PACKERS[request.param](TEXT)


def test_what_was_packed_comes_out(packed: bytes) -> None:
    assert decompress(packed) == TEXT


def test_a_stream_that_is_cut_short_is_damaged(packed: bytes) -> None:
    for length in (len(packed) // 2, len(packed) - 1):
        with pytest.raises(HostError, match="damaged: "):
            decompress(packed[:length])


@pytest.mark.parametrize("kind", ["xz", "gz"])
def test_what_stands_behind_the_end_is_left_out(kind: str) -> None:
    assert decompress(PACKERS[kind](TEXT) + b"signature") == TEXT


def test_what_is_not_packed_stays_as_it_is() -> None:
    assert decompress(TEXT) is TEXT


def test_a_file_that_is_not_packed_as_it_is_called_is_damaged(tmp_path: Path) -> None:
    file = tmp_path / "module.ko.xz"
    file.write_bytes(TEXT)

    with pytest.raises(HostError, match=r"damaged: it is no \.xz file"):
        read_unpacked(file)
