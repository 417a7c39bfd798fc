"""PCI devices as sysfs shows them, and giving one to another driver for a while.

`root` is where the file system begins; tests put a tree of their own there.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.errors import HostError

ROOT = Path("/")
VFIO_PCI = "vfio-pci"
# Drivers that VFIO lets be in the group of a device that it has.
HARMLESS = ("", VFIO_PCI, "pci-stub", "pcieport")
IORESOURCE_MEM = 0x200
IORESOURCE_PREFETCH = 0x2000
IORESOURCE_MEM_64 = 0x100000


@dataclass(frozen=True)
class BarResource:
    """A memory BAR.  `address` is physical; 0 if it has none.  Sizes are in bytes.

    resizable  the sizes that it can have, if it can be resized
    """

    index: int
    address: int
    size: int
    is_64bit: bool
    prefetchable: bool
    resizable: tuple[int, ...] = ()


@dataclass(frozen=True)
class PciDevice:
    """`id` is "vendor:device" in hex.  `driver` and `group` are "" if it has none."""

    bdf: str
    id: str
    class_code: int
    driver: str
    group: str
    reset_methods: tuple[str, ...]
    bars: tuple[BarResource, ...]
    missing: tuple[str, ...] = ()

    def bar(self, index: int) -> BarResource:
        """Raises HostError if it is no memory BAR."""
        for bar in self.bars:
            if bar.index == index:
                return bar
        there = ", ".join(str(bar.index) for bar in self.bars) or "none"
        raise HostError(f"{self.bdf} has no memory BAR {index}; it has: {there}")


def devices_folder(root: Path = ROOT) -> Path:
    return root / "sys/bus/pci/devices"


def read_text(path: Path) -> str | None:
    """A small file without its last newline; None if it cannot be read."""
    try:
        return read_file(path).strip()
    except OSError:
        return None


def read_file(path: Path) -> str:
    """Raises OSError.  The layers of a text file would take an emulated guest 1 ms each time."""
    with path.open("rb", buffering=0) as file:
        return file.read().decode(errors="replace")


def link_name(path: Path) -> str:
    try:
        return path.readlink().name
    except OSError:
        return ""


def read_devices(root: Path = ROOT) -> tuple[PciDevice, ...]:
    """All devices, in the order of their addresses; none where there is no PCI."""
    try:
        names = sorted(path.name for path in devices_folder(root).iterdir())
    except OSError:
        return ()
    return tuple(read_device(name, root) for name in names)


def read_device(bdf: str, root: Path = ROOT) -> PciDevice:
    """What there is to read; `missing` has the names of files that could not be read."""
    folder = devices_folder(root) / bdf
    missing = []

    def read(name: str) -> str:
        text = read_text(folder / name)
        if text is None:
            missing.append(name)
        return text or ""

    vendor, device = number(read("vendor")), number(read("device"))
    return PciDevice(
        bdf,
        f"{vendor:04x}:{device:04x}",
        number(read("class")),
        link_name(folder / "driver"),
        link_name(folder / "iommu_group"),
        tuple((read_text(folder / "reset_method") or "").split()),
        tuple(bars_of(read("resource"), folder)),
        tuple(missing),
    )


def number(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def bars_of(resource: str, folder: Path) -> Iterator[BarResource]:
    """From the first six lines of `resource`: start, end and flags."""
    for index, line in enumerate(resource.splitlines()[:6]):
        values = [number(part) for part in line.split()]
        if len(values) != 3 or not values[2] & IORESOURCE_MEM or values[1] <= values[0]:
            continue
        start, end, flags = values
        sizes = number(read_text(folder / f"resource{index}_resize") or "")
        yield BarResource(
            index,
            start,
            end - start + 1,
            bool(flags & IORESOURCE_MEM_64),
            bool(flags & IORESOURCE_PREFETCH),
            tuple(1 << (20 + bit) for bit in range(64) if sizes >> bit & 1),
        )


def find_device(name: str, root: Path = ROOT) -> PciDevice:
    """By address, 0000:01:00.0 or 01:00.0, or the first by "vendor:device"; or HostError."""
    wanted = name.lower()
    if "." in wanted and wanted.count(":") == 1:
        wanted = f"0000:{wanted}"
    if ":" in wanted and "/" not in wanted and (devices_folder(root) / wanted).exists():
        return read_device(wanted, root)
    devices = read_devices(root)
    if not devices:
        raise HostError("this machine has no PCI devices")
    for device in devices:
        if wanted in (device.bdf, device.id):
            return device
    raise HostError(f"no PCI device is called {name!r}; lspci -D lists them")


def group_members(group: str, root: Path = ROOT) -> tuple[str, ...]:
    """The addresses of all devices in an IOMMU group."""
    folder = root / "sys/kernel/iommu_groups" / group / "devices"
    try:
        return tuple(sorted(path.name for path in folder.iterdir()))
    except OSError:
        return ()


def rivals(device: PciDevice, root: Path = ROOT) -> list[tuple[str, str]]:
    """Others of its group, and their drivers, that keep VFIO from using the group."""
    if not device.group:
        return []
    others = [bdf for bdf in group_members(device.group, root) if bdf != device.bdf]
    drivers = [link_name(devices_folder(root) / bdf / "driver") for bdf in others]
    return [
        (bdf, driver) for bdf, driver in zip(others, drivers, strict=True) if driver not in HARMLESS
    ]


def check_free(device: PciDevice, unbind: bool, root: Path = ROOT) -> None:
    """Raise HostError if vfio-pci cannot have the device, or must not."""
    if not (root / "sys/bus/pci/drivers" / VFIO_PCI).exists():
        raise HostError("this kernel has not loaded vfio-pci: modprobe vfio-pci")
    if not device.group:
        raise HostError(f"{device.bdf} is in no IOMMU group: boot with the IOMMU on")
    if device.driver not in ("", VFIO_PCI) and not unbind:
        raise HostError(f"{device.bdf} is in use by {device.driver}: --unbind takes it away")
    if others := rivals(device, root):
        other, driver = others[0]
        raise HostError(
            f"IOMMU group {device.group} has {other}, too, which {driver} has: unbind it first"
        )


@contextmanager
def bound_to_vfio(device: PciDevice, unbind: bool = False, root: Path = ROOT) -> Iterator[None]:
    """The device belongs to vfio-pci inside, and to the driver it had afterwards.

    Raises HostError if another driver has it and `unbind` is not set.
    """
    check_free(device, unbind, root)
    if device.driver == VFIO_PCI:
        yield
        return
    folder = devices_folder(root) / device.bdf
    before = read_text(folder / "driver_override")
    try:
        write(folder / "driver_override", VFIO_PCI)
        if device.driver:
            write(folder / "driver/unbind", device.bdf)
        write(root / "sys/bus/pci/drivers_probe", device.bdf)
        if link_name(folder / "driver") != VFIO_PCI:
            raise HostError(f"vfio-pci did not take {device.bdf}: see dmesg")
        yield
    finally:
        give_back(device, "" if before in (None, "(null)") else str(before), root)


def give_back(device: PciDevice, override: str, root: Path) -> None:
    folder = devices_folder(root) / device.bdf
    if link_name(folder / "driver") == VFIO_PCI:
        write(folder / "driver/unbind", device.bdf)
    write(folder / "driver_override", override + "\n")
    if device.driver and not link_name(folder / "driver"):
        write(root / "sys/bus/pci/drivers_probe", device.bdf)


def write(path: Path, text: str) -> None:
    try:
        with path.open("wb", buffering=0) as file:
            file.write(text.encode())
    except OSError as error:
        raise HostError(f"cannot write {text.strip()!r} to {path}: {error.strerror}") from error
