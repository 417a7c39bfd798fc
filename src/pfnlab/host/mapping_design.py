"""Which design of pfnlab a kernel's vfio-pci is, by its symbols: releases carry fixes back."""

from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.compressed import SUFFIXES, read_unpacked
from pfnlab.host.errors import HostError
from pfnlab.host.pci import ROOT

CORE_MODULES = ("vfio-pci-core.ko", "vfio-pci.ko")
BUILD_ID = "notes/.note.gnu.build-id"  # of a module, below its folder in sysfs
# Functions of vfio-pci, and those that it calls, by which designs differ.
OWN = (
    "vfio_pci_core_mmap", "vfio_pci_mmap", "vfio_pci_mmap_fault", "vfio_pci_mmap_huge_fault",
    "vfio_pci_mmap_open", "vfio_pci_zap_and_vma_lock", "vfio_pci_dma_buf_move",
)  # fmt: skip
CALLED = (
    "remap_pfn_range", "io_remap_pfn_range", "vmf_insert_pfn", "unmap_mapping_range",
    "zap_vma_ptes",
)  # fmt: skip
# Functions of mm/ that came with a feature of the model's kernels.
MM = ("lock_vma_under_rcu", "pfnmap_setup_cachemode", "pfnmap_track")
NAMES = (*OWN, *CALLED, *MM)


@dataclass(frozen=True)
class MappingDesign:
    """`name` is that of a file in pfnlab/designs, or "" if no file there is like it.

    source   what its symbols were read from
    note     what the symbols do not tell, or why there is no name
    symbols  those of NAMES that there are; of mm/ only if `source` is the running kernel
    """

    name: str
    source: str
    note: str
    symbols: frozenset[str]


def design_of(symbols: Collection[str], called: bool) -> tuple[str, str]:
    """The name, and a note.  `called`: it is known what vfio-pci calls, not what there is."""
    if not any(name in symbols for name in OWN):
        return "", "vfio-pci is neither loaded nor found on disk"
    if "vfio_pci_mmap_huge_fault" in symbols:
        return "huge_fault", (
            "before 6.12.29 and v6.15, huge_fault_unrounded or huge_fault_unaligned has the same "
            "symbols"
        )
    if "vfio_pci_mmap_fault" in symbols:
        if "vfio_pci_zap_and_vma_lock" in symbols or "vfio_pci_mmap_open" in symbols:
            if called and "vmf_insert_pfn" in symbols:
                return "insert_page_on_fault_vma_list", ""
            return "remap_on_fault", ""
        return "insert_vma_on_fault", "insert_page_on_fault would have the same symbols"
    if called and "unmap_mapping_range" in symbols:
        return "remap_on_mmap", ""
    return "", "it maps in mmap() and has no fault handler: no design is like it"


def running_design(root: Path = ROOT, release: str = "") -> MappingDesign:
    """Of the running kernel: by its vfio-pci if that is loaded, else by the module on disk."""
    loaded = kallsyms_names(root / "proc/kallsyms")
    if any(name in loaded for name in OWN):
        name, note = design_of(loaded, called=False)
        return MappingDesign(name, "/proc/kallsyms", note, loaded)
    path = core_module(root, release)
    if path is None:
        name, note = design_of((), called=True)
        return MappingDesign(name, "", note, loaded)
    found = design_of_module(path)
    return MappingDesign(found.name, found.source, found.note, found.symbols | loaded & set(MM))


def name_of_running(root: Path = ROOT, release: str = "") -> str:
    """The name alone.

    If the module on disk is the one that is loaded, by its build id, that is enough, and the list
    of all symbols of a kernel takes a guest that is emulated a second.
    """
    path = core_module(root, release)
    if path is not None:
        loaded = root / "sys/module" / path.name.split(".")[0].replace("-", "_") / BUILD_ID
        with suppress(OSError, HostError):
            data = read_unpacked(path)
            if loaded.read_bytes() in data:
                return design_in(path, data).name
    return running_design(root, release).name


def kallsyms_names(path: Path) -> frozenset[str]:
    """Those of NAMES that the running kernel has; anybody may read names, if not addresses."""
    try:
        text = path.read_bytes()
    except OSError:
        return frozenset()
    return frozenset(
        name
        for name in NAMES
        if any(f" {name}{end}".encode() in text for end in ("\n", "\t"))  # a module is behind a tab
    )


def core_module(root: Path, release: str) -> Path | None:
    """vfio-pci-core.ko of a release, perhaps compressed, below lib/modules."""
    for top in ("lib/modules", "usr/lib/modules"):
        folder = root / top / release / "kernel/drivers/vfio/pci"
        for name in CORE_MODULES:
            for suffix in ("", *SUFFIXES):
                path = folder / f"{name}{suffix}"
                if path.exists():
                    return path
    return None


def design_of_module(path: Path) -> MappingDesign:
    """By the names in a module: what it has and what it calls."""
    try:
        data = read_unpacked(path)
    except (HostError, OSError) as error:
        return MappingDesign("", path.name, f"cannot read {path}: {error}", frozenset())
    return design_in(path, data)


def design_in(path: Path, data: bytes) -> MappingDesign:
    """As design_of_module(), of what its file has, unpacked."""
    symbols = frozenset(name for name in NAMES if b"\0" + name.encode() + b"\0" in data)
    name, note = design_of(symbols, called=True)
    return MappingDesign(name, path.name, note, symbols)
