"""What a machine, or a kernel that is only unpacked, says about mapping BARs.

Nothing is changed, and nothing needs root; what cannot be read is left out.
"""

import gzip
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.config_space import ConfigSpace, MsixTable
from pfnlab.host.errors import HostError
from pfnlab.host.machine import Machine, read_machine
from pfnlab.host.mapping_design import (
    MappingDesign,
    core_module,
    design_of,
    design_of_module,
    running_design,
)
from pfnlab.host.pci import ROOT, PciDevice, devices_folder, group_members, read_devices, rivals
from pfnlab.host.tracefs import NO_TRACEFS

MODULES = ("vfio", "vfio_pci", "vfio_pci_core", "vfio_iommu_type1", "iommufd")
OPTIONS = (
    "VFIO_PCI", "VFIO_GROUP", "VFIO_DEVICE_CDEV", "IOMMUFD", "ARCH_SUPPORTS_HUGE_PFNMAP",
    "ARCH_SUPPORTS_PMD_PFNMAP", "ARCH_SUPPORTS_PUD_PFNMAP", "TRANSPARENT_HUGEPAGE",
    "PER_VMA_LOCK", "DEBUG_INFO_BTF", "KPROBE_EVENTS", "PROC_KCORE",
)  # fmt: skip


@dataclass(frozen=True)
class KernelFacts:
    """A kernel, running or in a folder.

    release  as uname prints it, or as its folder is called
    version  of its source, as far as that is known: else ""
    options  of its configuration, "y", "m" or "n"; none if that is not to be read
    """

    release: str
    version: str
    design: MappingDesign
    options: Mapping[str, str]
    options_from: str


@dataclass(frozen=True)
class VfioFacts:
    """modules: those that are loaded, or built in and visible.  groups: in /dev/vfio."""

    modules: tuple[str, ...]
    groups: tuple[str, ...]
    container: bool
    iommufd: bool
    iommus: tuple[str, ...]
    iommu_groups: int


@dataclass(frozen=True)
class DeviceFacts:
    """A device, and what config space tells, of which root alone sees the most.

    rivals  others of its group, with a driver that keeps VFIO from using the group
    msix and flr are None if they could not be read, or if there is no such table
    """

    pci: PciDevice
    group_members: tuple[str, ...]
    rivals: tuple[tuple[str, str], ...]
    full_config: bool
    flr: bool | None
    msix: MsixTable | None


@dataclass(frozen=True)
class HostFacts:
    """counters: what `pfnlab measure` could count here, or else the reason why not, or ""."""

    machine: Machine
    kernel: KernelFacts
    root: bool
    vfio: VfioFacts
    counters: Mapping[str, str]
    devices: tuple[DeviceFacts, ...]


def examine_host(root: Path = ROOT) -> HostFacts:
    machine = read_machine(root)
    options, source = read_options(root, machine.kernel)
    return HostFacts(
        machine,
        KernelFacts(
            machine.kernel,
            machine.version,
            running_design(root, machine.kernel),
            options,
            source and f"/{source}",
        ),
        os.geteuid() == 0,
        examine_vfio(root),
        examine_counters(root),
        tuple(examine_device(device, root) for device in read_devices(root)),
    )


def examine_kernel(folder: Path) -> KernelFacts:
    """A kernel package that was unpacked into a folder, the newest if there are several.

    Raises HostError if there is none.
    """
    tops = ("lib/modules", "usr/lib/modules")
    releases = [path.parent.name for top in tops for path in (folder / top).glob("*/kernel")]
    if not releases:
        raise HostError(f"no kernel is in {folder}: there is no lib/modules/VERSION/kernel")
    release = max(releases, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])
    module = core_module(folder, release)
    if module is None:
        name, note = design_of((), called=True)
        design = MappingDesign(name, "", note, frozenset())
    else:
        design = design_of_module(module)
    options, source = read_options(folder, release)
    return KernelFacts(release, "", design, options, source and str(folder / source))


def read_options(root: Path, release: str) -> tuple[dict[str, str], str]:
    """The options that matter, and their file, as seen from `root`; nothing if there is none."""
    places = (
        "proc/config.gz", f"boot/config-{release}", f"lib/modules/{release}/config",
        f"usr/lib/modules/{release}/config",
    )  # fmt: skip
    for place in places:
        try:
            data = (root / place).read_bytes()
            text = (gzip.decompress(data) if place.endswith(".gz") else data).decode()
        except (OSError, EOFError, ValueError, zlib.error):
            continue
        found = dict(re.findall(r"^CONFIG_(\w+)=([ym])$", text, re.M))
        return {name: found.get(name, "n") for name in OPTIONS}, place
    return {}, ""


def names_in(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return ()


def examine_vfio(root: Path) -> VfioFacts:
    dev = names_in(root / "dev/vfio")
    return VfioFacts(
        tuple(name for name in MODULES if (root / "sys/module" / name).exists()),
        tuple(name for name in dev if name not in ("vfio", "devices")),
        "vfio" in dev,
        (root / "dev/iommu").exists(),
        names_in(root / "sys/class/iommu"),
        len(names_in(root / "sys/kernel/iommu_groups")),
    )


def examine_counters(root: Path) -> dict[str, str]:
    """By what `measure` counts: "" if it can, or what stands in the way."""
    return {
        "leaves": first_of(
            (root / "sys/kernel/btf/vmlinux", os.R_OK, "the kernel has no BTF"),
            (root / "proc/kcore", os.R_OK, "/proc/kcore is not there, or needs root"),
        ),
        "calls": first_of(
            (
                root / "sys/kernel/tracing/kprobe_events",
                os.W_OK,
                NO_TRACEFS,
            ),
        ),
        "memtypes": first_of(
            (
                root / "sys/kernel/debug/x86/pat_memtype_list",
                os.R_OK,
                "debugfs is not mounted, or needs root",
            ),
        ),
    }


def first_of(*needs: tuple[Path, int, str]) -> str:
    return next((reason for path, mode, reason in needs if not os.access(path, mode)), "")


def examine_device(device: PciDevice, root: Path = ROOT) -> DeviceFacts:
    config = read_config(devices_folder(root) / device.bdf / "config")
    space = ConfigSpace(lambda offset, size: config[offset : offset + size], read_only)
    full = len(config) > 64
    return DeviceFacts(
        device,
        group_members(device.group, root) if device.group else (),
        tuple(rivals(device, root)),
        full,
        space.has_flr() if full else None,
        space.msix_table() if full else None,
    )


def read_config(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def read_only(_offset: int, _data: bytes) -> None:
    raise HostError("config space is only read here")
