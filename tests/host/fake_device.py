"""A device whose BAR is a file in memory, for what needs no kernel of its own."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager

from pfnlab.host.config_space import ConfigSpace
from pfnlab.host.memory import Mapping, map_device
from pfnlab.host.pci import BarResource, PciDevice
from pfnlab.workload import Place

ADDRESS = 0x388000000000


class FakeDevice:
    """While COMMAND.MEM is off the file is empty, so that a touch is SIGBUS."""

    def __init__(self, descriptor: int, size: int) -> None:
        self.descriptor = descriptor
        self.size = size
        bar = BarResource(2, ADDRESS, size, True, True)
        self.pci = PciDevice("0000:17:00.0", "10de:2330", 0, "vfio-pci", "17", (), (bar,))
        self.memory_on = False
        self.config = ConfigSpace(self.read, self.write)
        self.dma: dict[int, tuple[int, int]] = {}
        self.log: list[str] = []

    def read(self, _offset: int, size: int) -> bytes:
        return (2 if self.memory_on else 0).to_bytes(size, "little")

    def write(self, _offset: int, data: bytes) -> None:
        self.memory_on = bool(data[0] & 2)
        os.ftruncate(self.descriptor, self.size if self.memory_on else 0)

    def map_window(self, bar: int, offset: int, size: int, place: Place, address: int) -> Mapping:
        self.log.append(f"map {bar} {offset:#x} {size:#x} {place}")
        return map_device(self.descriptor, offset, size, ADDRESS + offset, place, address)

    def map_dma(self, address: int, size: int, iova: int) -> None:
        if not size:
            raise OSError(errno.EINVAL, "of nothing")
        if not self.memory_on:
            raise OSError(errno.EFAULT, "memory is off")
        if iova in self.dma:
            raise OSError(errno.EEXIST, "mapped")
        self.dma[iova] = (address, size)

    def unmap_dma(self, iova: int) -> None:
        del self.dma[iova]


@contextmanager
def fake_device(size: int) -> Iterator[FakeDevice]:
    descriptor = os.memfd_create("bar")
    try:
        yield FakeDevice(descriptor, size)
    finally:
        os.close(descriptor)
