"""Which modules are loaded, and in which order."""

import gzip
import lzma
import shutil
import subprocess
from pathlib import Path

import pytest

from pfnlab.host.compressed import ZSTD
from pfnlab.lab.errors import LabError
from pfnlab.lab.modules import load_order


def module(*info: str) -> bytes:
    return b"\x7fELF..." + b"".join(b"\0" + line.encode() for line in info) + b"\0"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    drivers = tmp_path / "kernel" / "drivers"
    drivers.mkdir(parents=True)
    (drivers / "vfio-pci.ko.xz").write_bytes(
        lzma.compress(module("name=vfio_pci", "depends=vfio-pci-core,vfio"))
    )
    (drivers / "vfio-pci-core.ko.gz").write_bytes(
        gzip.compress(module("depends=vfio", "softdep=pre: early post: late"))
    )
    (drivers / "vfio.ko").write_bytes(module("depends="))
    (drivers / "early.ko").write_bytes(module())
    (drivers / "late.ko").write_bytes(module())
    return tmp_path


def test_a_module_comes_after_all_that_it_needs(folder: Path) -> None:
    names = [each.name for each in load_order(folder, ["vfio-pci"])]

    assert names == ["vfio", "early", "vfio_pci_core", "vfio_pci"]


def test_a_module_is_unpacked_to_where_it_is_looked_for(folder: Path) -> None:
    assert load_order(folder, ["vfio-pci"])[-1].path == "kernel/drivers/vfio-pci.ko"


def test_a_module_that_is_built_in_is_left_out(folder: Path) -> None:
    assert load_order(folder, ["irqbypass"]) == []


def test_a_cycle_ends(folder: Path) -> None:
    (folder / "a.ko").write_bytes(module("depends=b"))
    (folder / "b.ko").write_bytes(module("depends=a"))

    assert [each.name for each in load_order(folder, ["a"])] == ["b", "a"]


def test_a_damaged_module_is_named(folder: Path) -> None:
    (folder / "broken.ko.xz").write_bytes(lzma.compress(module())[:20] + b"\0" * 40)

    with pytest.raises(LabError, match=r"broken\.ko\.xz: "):
        load_order(folder, ["broken"])


def test_zstd_is_unpacked_by_its_tool_or_asked_for(folder: Path) -> None:
    packed = ZSTD + b"no zstd"
    tool = shutil.which("zstd")
    if tool is not None:
        packed = subprocess.run(
            [tool, "-c"], input=module("depends=vfio"), capture_output=True, check=True
        ).stdout
    (folder / "packed.ko.zst").write_bytes(packed)

    try:
        names = [each.name for each in load_order(folder, ["packed"])]
    except LabError as error:
        assert tool is None
        assert "install the package zstd" in str(error) or "damaged: " in str(error)
    else:
        assert names == ["vfio", "packed"]
