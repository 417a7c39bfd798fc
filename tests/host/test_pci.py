"""Devices of a made-up sysfs, and giving one to vfio-pci and back."""

from pathlib import Path

import pytest

from pfnlab.host import pci
from pfnlab.host.errors import HostError
from pfnlab.host.pci import bound_to_vfio, find_device, group_members, read_devices
from tests.host.trees import put, put_device, put_vfio_host

SIZE = 64 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    put_vfio_host(tmp_path)
    return tmp_path


def test_a_device_has_its_bars_and_links(root: Path) -> None:
    gpu = find_device("0000:3d:00.0", root)

    assert (gpu.id, gpu.driver, gpu.group) == ("10de:2330", "nvidia", "18")
    assert gpu.reset_methods == ("flr", "bus")
    assert [(bar.index, bar.address, bar.size) for bar in gpu.bars] == [
        (0, 0x3FA000000000, 16 << 20), (2, 0x3FA040200000, 2 << 30),
    ]  # fmt: skip
    assert gpu.bars[0].is_64bit
    assert gpu.bars[0].prefetchable
    assert group_members("18", root) == ("0000:3d:00.0", "0000:5e:00.0")


def test_a_device_is_found_by_its_short_address_and_by_its_id(root: Path) -> None:
    assert find_device("5e:00.0", root).bdf == "0000:5e:00.0"
    assert find_device("144D:A80A", root).bdf == "0000:5e:00.0"
    with pytest.raises(HostError, match="no PCI device is called 'nothing'"):
        find_device("nothing", root)
    with pytest.raises(HostError, match="has no memory BAR 3; it has: 0, 2"):
        find_device("3d:00.0", root).bar(3)


def test_a_machine_without_pci_has_no_devices(tmp_path: Path) -> None:
    assert read_devices(tmp_path) == ()
    with pytest.raises(HostError, match="this machine has no PCI devices"):
        find_device("3d:00.0", tmp_path)


def test_files_that_cannot_be_read_are_named(root: Path) -> None:
    folder = root / "sys/bus/pci/devices/0000:3d:00.0"
    for name in ("vendor", "resource", "reset_method"):
        (folder / name).unlink()
    put(folder / "class", "no number\n")
    device = find_device("0000:3d:00.0", root)

    assert device.missing == ("vendor", "resource")
    assert (device.id, device.bars, device.class_code) == ("0000:2330", (), 0)


def test_io_bars_and_empty_ones_are_left_out(tmp_path: Path) -> None:
    put_device(tmp_path, "0000:00:01.0", {0: (0xE000, 256)}, flags=0x40101)
    assert find_device("00:01.0", tmp_path).bars == ()


def test_sizes_of_a_resizable_bar_are_bytes(tmp_path: Path) -> None:
    put_device(tmp_path, "0000:00:01.0", {0: (SIZE, SIZE)}, resize=0x440)
    assert find_device("00:01.0", tmp_path).bars[0].resizable == (SIZE, 1 << 30)


class Kernel:
    """Does what the kernel does when sysfs is written, and keeps what was written."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch, takes: bool = True) -> None:
        self.root = root
        self.written: list[tuple[str, str]] = []
        self.takes = takes
        self.home: dict[str, str] = {}
        monkeypatch.setattr(pci, "write", self.write)

    def write(self, path: Path, text: str) -> None:
        name = "/".join(path.relative_to(self.root).parts[-2:])
        self.written.append((name, text.strip()))
        devices = self.root / "sys/bus/pci/devices"
        if path.name == "driver_override":
            path.write_text(text, encoding="utf-8")
        elif path.name == "unbind":
            link = path.parent
            self.home.setdefault(text, link.readlink().name)
            link.unlink()
        elif path.name == "drivers_probe":
            wanted = (devices / text / "driver_override").read_text(encoding="utf-8").strip()
            driver = wanted if wanted not in ("", "(null)") else self.home[text]
            if self.takes or driver != "vfio-pci":
                (devices / text / "driver").symlink_to(self.root / "drivers" / driver)

    def driver(self, bdf: str) -> str:
        return pci.link_name(self.root / "sys/bus/pci/devices" / bdf / "driver")


def test_a_device_in_use_is_refused(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(root, monkeypatch)
    refused = pytest.raises(HostError, match=r"0000:3d:00.0 is in use by nvidia: --unbind takes")
    with refused, bound_to_vfio(find_device("3d:00.0", root), root=root):
        pass
    assert kernel.written == []


def test_a_device_is_given_back(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(root, monkeypatch)
    gpu = find_device("3d:00.0", root)
    with pytest.raises(KeyboardInterrupt), bound_to_vfio(gpu, unbind=True, root=root):
        assert kernel.driver(gpu.bdf) == "vfio-pci"
        raise KeyboardInterrupt

    assert kernel.driver(gpu.bdf) == "nvidia"
    assert kernel.written == [
        ("0000:3d:00.0/driver_override", "vfio-pci"),
        ("driver/unbind", "0000:3d:00.0"),
        ("pci/drivers_probe", "0000:3d:00.0"),
        ("driver/unbind", "0000:3d:00.0"),
        ("0000:3d:00.0/driver_override", ""),
        ("pci/drivers_probe", "0000:3d:00.0"),
    ]


def test_a_device_that_vfio_pci_refuses_is_given_back(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Kernel(root, monkeypatch, takes=False)
    gpu = find_device("3d:00.0", root)
    refused = pytest.raises(HostError, match=r"vfio-pci did not take 0000:3d:00.0")
    with refused, bound_to_vfio(gpu, unbind=True, root=root):
        pass
    assert kernel.driver(gpu.bdf) == "nvidia"


def test_a_device_without_a_driver_has_none_afterwards(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_device(root, "0000:60:00.0", {0: (SIZE, SIZE)}, group="20")
    put(root / "sys/bus/pci/devices/0000:60:00.0/driver_override", "mine\n")
    kernel = Kernel(root, monkeypatch)
    device = find_device("60:00.0", root)
    with bound_to_vfio(device, root=root):
        assert kernel.driver(device.bdf) == "vfio-pci"

    assert kernel.driver(device.bdf) == ""
    assert kernel.written[-1] == ("0000:60:00.0/driver_override", "mine")


def test_a_device_of_vfio_pci_is_left_alone(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(root, monkeypatch)
    with bound_to_vfio(find_device("17:00.0", root), root=root):
        pass
    assert kernel.written == []


def test_what_vfio_needs_is_said(root: Path) -> None:
    gpu = find_device("3d:00.0", root)
    put_device(root, "0000:60:00.0", {0: (SIZE, SIZE)})
    with pytest.raises(HostError, match="is in no IOMMU group: boot with the IOMMU on"):
        pci.check_free(find_device("60:00.0", root), False, root)
    (root / "sys/bus/pci/drivers/vfio-pci/bind").unlink()
    (root / "sys/bus/pci/drivers/vfio-pci").rmdir()
    with pytest.raises(HostError, match="has not loaded vfio-pci: modprobe vfio-pci"):
        pci.check_free(gpu, True, root)


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot write 'x' to .*none/unbind: No such file"):
        pci.write(tmp_path / "none/unbind", "x\n")
