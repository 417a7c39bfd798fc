"""A kernel's design is told by its symbols, and has a file among the designs."""

import gzip
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from pfnlab.catalogue import all_designs
from pfnlab.host.mapping_design import (
    design_of,
    design_of_module,
    name_of_running,
    running_design,
)
from tests.host.trees import KALLSYMS_HUGE, put

LIST = {"vfio_pci_mmap_fault", "vfio_pci_zap_and_vma_lock", "zap_vma_ptes"}
PATH = "kernel/drivers/vfio/pci/vfio-pci-core.ko"


@pytest.mark.parametrize(
    ("symbols", "name"),
    [
        ({"vfio_pci_mmap_huge_fault", "vfio_pci_mmap_fault"}, "huge_fault"),
        (LIST | {"remap_pfn_range"}, "remap_on_fault"),
        (LIST | {"vmf_insert_pfn"}, "insert_page_on_fault_vma_list"),
        ({"vfio_pci_mmap_fault", "unmap_mapping_range"}, "insert_vma_on_fault"),
        ({"vfio_pci_core_mmap", "remap_pfn_range", "unmap_mapping_range"}, "remap_on_mmap"),
    ],
)
def test_symbols_tell_a_design_that_ships(symbols: set[str], name: str) -> None:
    assert design_of(symbols, called=True)[0] == name
    assert name in all_designs()


def test_some_kernels_are_like_no_design() -> None:
    assert design_of({"vfio_pci_mmap", "remap_pfn_range"}, called=True)[0] == ""
    assert design_of((), called=True) == ("", "vfio-pci is neither loaded nor found on disk")


def test_what_the_whole_kernel_has_is_not_what_vfio_pci_calls() -> None:
    loaded = LIST | {"remap_pfn_range", "vmf_insert_pfn", "unmap_mapping_range"}
    assert design_of(loaded, called=False)[0] == "remap_on_fault"
    assert design_of({"vfio_pci_mmap", "unmap_mapping_range"}, called=False)[0] == ""


def test_the_loaded_module_decides(tmp_path: Path) -> None:
    put(tmp_path / "proc/kallsyms", KALLSYMS_HUGE)
    put(tmp_path / "lib/modules/6.12" / PATH, b"\0vfio_pci_mmap_fault\0")
    found = running_design(tmp_path, "6.12")

    assert (found.name, found.source) == ("huge_fault", "/proc/kallsyms")
    assert "lock_vma_under_rcu" in found.symbols


@pytest.mark.parametrize(("loaded", "name"), [(b"id 1", "remap_on_mmap"), (b"id 2", "huge_fault")])
def test_the_file_on_disk_tells_the_name_if_it_is_what_is_loaded(
    tmp_path: Path, loaded: bytes, name: str
) -> None:
    symbols = b"\0vfio_pci_core_mmap\0unmap_mapping_range\0"
    put(tmp_path / "lib/modules/6.12" / PATH, symbols + b"id 1")
    put(tmp_path / "sys/module/vfio_pci_core/notes/.note.gnu.build-id", loaded)
    put(tmp_path / "proc/kallsyms", KALLSYMS_HUGE)

    assert name_of_running(tmp_path, "6.12") == name


def same(data: bytes) -> bytes:
    return data


@pytest.mark.parametrize(
    ("ending", "pack"), [("", same), (".xz", lzma.compress), (".gz", gzip.compress)]
)
def test_a_module_on_disk_does_if_it_is_not_loaded(
    tmp_path: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    names = b"\0".join(name.encode() for name in LIST | {"remap_pfn_range"})
    put(tmp_path / "usr/lib/modules/6.1" / (PATH + ending), pack(b"\0" + names + b"\0"))
    put(tmp_path / "proc/kallsyms", "0000000000000000 T vmf_insert_pfn\n")
    found = running_design(tmp_path, "6.1")

    assert (found.name, found.source) == ("remap_on_fault", f"vfio-pci-core.ko{ending}")


@pytest.mark.parametrize("ending", [".xz", ".gz", ".zst"])
def test_a_module_that_is_broken_has_a_reason(tmp_path: Path, ending: str) -> None:
    put(tmp_path / f"vfio-pci-core.ko{ending}", b"no archive")
    found = design_of_module(tmp_path / f"vfio-pci-core.ko{ending}")

    assert found.name == ""
    assert found.note.startswith("cannot read ")


def test_a_kernel_without_vfio_has_a_reason(tmp_path: Path) -> None:
    found = running_design(tmp_path, "6.18")
    assert (found.name, found.note) == ("", "vfio-pci is neither loaded nor found on disk")
