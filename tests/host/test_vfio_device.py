"""The life of a VfioDevice: it is left as it was found, whatever happens in between."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from pfnlab.host import HostError, VfioDevice, device, uapi
from pfnlab.host.pci import BarResource, PciDevice
from tests.host.trees import config_space

BAR, SIZE = 0x10000, 0x8000
PCI = PciDevice(
    "0000:17:00.0", "10de:2330", 0, "nvidia", "17", (), (BarResource(2, 1 << 32, SIZE, True, True),)
)


class Kernel:
    """A device file with config space at 0 and BAR 2 at BAR; pages from 0x2000 on have a hole."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.log: list[str] = []
        self.file = os.memfd_create("device")
        os.ftruncate(self.file, BAR + SIZE)
        os.pwrite(self.file, config_space(), 0)
        self.refuses_to_open = False
        monkeypatch.setattr(device, "find_device", lambda _name: PCI)
        monkeypatch.setattr(device, "bound_to_vfio", self.bound)
        monkeypatch.setattr(device, "open_dma", lambda _bdf, _group: self)
        monkeypatch.setattr("fcntl.ioctl", self.ioctl)

    @contextmanager
    def bound(self, _pci: PciDevice, unbind: bool) -> Iterator[None]:
        self.log.append(f"bind {unbind}")
        try:
            yield
        finally:
            self.log.append("give back")

    def open_device(self, _bdf: str) -> int:
        if self.refuses_to_open:
            raise HostError("no")
        return os.dup(self.file)

    def map_dma(self, address: int, size: int, iova: int) -> None:
        self.log.append(f"map {iova:#x}")

    def unmap_dma(self, iova: int, size: int) -> None:
        self.log.append(f"unmap {iova:#x} {size:#x}")

    def close(self) -> None:
        self.log.append(f"close, COMMAND {self.command():#x}")

    def command(self) -> int:
        return int.from_bytes(os.pread(self.file, 2, 4), "little")

    def ioctl(self, _file: int, request: int, data: bytearray | None = None) -> int:
        if request == uapi.VFIO_DEVICE_RESET:
            self.log.append("reset")
            return 0
        assert data is not None
        if request == uapi.VFIO_DEVICE_GET_INFO:
            uapi.DEVICE_INFO.pack_into(data, 0, 20, uapi.VFIO_DEVICE_FLAGS_RESET, 9, 5, 0)
            return 0
        assert request == uapi.VFIO_DEVICE_GET_REGION_INFO
        index = uapi.REGION_INFO.unpack_from(data)[2]
        if index == uapi.VFIO_PCI_CONFIG_REGION_INDEX:
            uapi.REGION_INFO.pack_into(data, 0, 32, 3, index, 0, 4096, 0)
            return 0
        whole = 32 + 8 + 8 + 32
        uapi.REGION_INFO.pack_into(data, 0, whole, 15, index, 32, SIZE, BAR)
        if len(data) >= whole:
            uapi.CAP_HEADER.pack_into(data, 32, 1, 1, 0)
            uapi.SPARSE_MMAP.pack_into(data, 40, 2, 0)
            uapi.SPARSE_AREA.pack_into(data, 48, 0, 0x2000)
            uapi.SPARSE_AREA.pack_into(data, 64, 0x3000, SIZE - 0x3000)
        return 0


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kernel]:
    made = Kernel(monkeypatch)
    yield made
    os.close(made.file)


@pytest.mark.parametrize("error", [HostError, OSError, KeyboardInterrupt])
def test_everything_is_undone_in_the_opposite_order(
    kernel: Kernel, error: type[BaseException]
) -> None:
    with pytest.raises(error), VfioDevice("17:00.0", unbind=True) as opened:
        opened.config.set_memory(False)
        opened.map_dma(0x7F0000000000, 4096, 0x1000)
        opened.map_dma(0x7F0000001000, 4096, 0x2000)
        opened.unmap_dma(0x1000)
        assert kernel.command() == 4
        raise error

    assert kernel.log == [
        "bind True", "map 0x1000", "map 0x2000", "unmap 0x1000 0x1000", "unmap 0x2000 0x1000",
        "close, COMMAND 0x6", "give back",
    ]  # fmt: skip
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(opened.descriptor)


def test_a_device_that_cannot_be_opened_is_given_back(kernel: Kernel) -> None:
    kernel.refuses_to_open = True
    with pytest.raises(HostError), VfioDevice("17:00.0"):
        pass
    assert kernel.log == ["bind False", "close, COMMAND 0x6", "give back"]


def test_what_is_beside_a_hole_can_be_mapped(kernel: Kernel) -> None:
    os.pwrite(kernel.file, b"register", BAR + 0x3000)
    with VfioDevice("17:00.0") as opened:
        assert opened.region(2).mmap_areas == ((0, 0x2000), (0x3000, SIZE - 0x3000))
        with opened.map_bar(2, 0x3000, 0x1000) as mapping:
            assert (mapping.address - (1 << 32) - 0x3000) % (1 << 30) == 0
            address = mapping.address
        assert mapping.address == 0
        with open("/proc/self/maps", encoding="ascii") as maps:
            assert f"{address:x}-" not in maps.read()
        with pytest.raises(HostError, match=r"0x0\.\.0x7fff of BAR 2 cannot be mapped as a whole"):
            opened.map_window(2)


def test_a_reset_is_asked_of_the_kernel(kernel: Kernel) -> None:
    with VfioDevice("17:00.0") as opened:
        assert opened.can_reset()
        opened.reset()
    assert "reset" in kernel.log
