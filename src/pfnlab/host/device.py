"""A PCI device through VFIO: open it, map its BARs, and leave it as it was found.

with VfioDevice("0000:01:00.0") as device:
    device.config.set_memory(True)
    with device.map_bar(2) as mapping:
        ...
"""

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Protocol, Self

from pfnlab.host import uapi
from pfnlab.host.config_space import ConfigSpace
from pfnlab.host.container import DEV_VFIO, Container
from pfnlab.host.errors import HostError
from pfnlab.host.iommufd import Iommufd, cdev_of
from pfnlab.host.memory import Mapping, map_device
from pfnlab.host.pci import bound_to_vfio, find_device
from pfnlab.workload import Place


@dataclass(frozen=True)
class Region:
    """A region of the device file.

    offset     of its first byte in the device file
    mmap_areas (first byte in the region, size) of what mmap() accepts: all of it, or what the
               kernel leaves, as a table of MSI-X interrupts is not for user space; none if
               the region cannot be mapped
    """

    index: int
    size: int
    offset: int
    readable: bool
    writable: bool
    mmap_areas: tuple[tuple[int, int], ...]


class Dma(Protocol):
    """A Container or an Iommufd."""

    def open_device(self, bdf: str) -> int: ...
    def map_dma(self, address: int, size: int, iova: int) -> None: ...
    def unmap_dma(self, iova: int, size: int) -> None: ...
    def close(self) -> None: ...


class VfioDevice:
    """Opened by `with`.  Raises HostError where that cannot be, and OSError from the kernel.

    `name` is an address or "vendor:device".  With `unbind` it may be taken from its driver,
    which has it back afterwards.  COMMAND is restored, and DMA mappings are taken away.
    """

    def __init__(self, name: str, unbind: bool = False) -> None:
        self.pci = find_device(name)
        self.bdf = self.pci.bdf
        self._unbind = unbind
        self._stack = ExitStack()
        self._dma_sizes: dict[int, int] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(bound_to_vfio(self.pci, self._unbind))
            self._dma = open_dma(self.bdf, self.pci.group)
            stack.callback(self._dma.close)
            self.descriptor = self._dma.open_device(self.bdf)
            stack.callback(os.close, self.descriptor)
            self.config = self._config_space()
            stack.enter_context(self.config.command_restored())
            stack.callback(self._unmap_all_dma)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def _config_space(self) -> ConfigSpace:
        region = self.region(uapi.VFIO_PCI_CONFIG_REGION_INDEX)

        def read(offset: int, size: int) -> bytes:
            return os.pread(self.descriptor, size, region.offset + offset)

        def write(offset: int, data: bytes) -> int:
            return os.pwrite(self.descriptor, data, region.offset + offset)

        return ConfigSpace(read, write)

    def region(self, index: int) -> Region:
        info = uapi.REGION_INFO
        request = bytearray(info.pack(info.size, 0, index, 0, 0, 0))
        fcntl.ioctl(self.descriptor, uapi.VFIO_DEVICE_GET_REGION_INFO, request)
        needed = info.unpack_from(request)[0]
        if needed > info.size:  # it has capabilities behind it
            request = bytearray(info.pack(needed, 0, index, 0, 0, 0).ljust(needed, b"\0"))
            fcntl.ioctl(self.descriptor, uapi.VFIO_DEVICE_GET_REGION_INFO, request)
        return parse_region(bytes(request))

    def can_reset(self) -> bool:
        """VFIO_DEVICE_FLAGS_RESET: the kernel knows a way to reset it alone."""
        request = bytearray(uapi.DEVICE_INFO.pack(uapi.DEVICE_INFO.size, 0, 0, 0, 0))
        fcntl.ioctl(self.descriptor, uapi.VFIO_DEVICE_GET_INFO, request)
        return bool(uapi.DEVICE_INFO.unpack(request)[1] & uapi.VFIO_DEVICE_FLAGS_RESET)

    def reset(self) -> None:
        fcntl.ioctl(self.descriptor, uapi.VFIO_DEVICE_RESET)

    def map_window(
        self, bar: int, offset: int = 0, size: int | None = None,
        place: Place = "1g", address: int = 0,
    ) -> Mapping:  # fmt: skip
        """Map part of a BAR; who calls this unmaps it.  Sizes and offsets are in bytes."""
        region = self.region(bar)
        size = region.size - offset if size is None else size
        areas = region.mmap_areas
        if not any(start <= offset and offset + size <= start + n for start, n in areas):
            there = ", ".join(f"{start:#x}..{start + n - 1:#x}" for start, n in areas) or "nothing"
            raise HostError(
                f"{offset:#x}..{offset + size - 1:#x} of BAR {bar} cannot be mapped as a whole; "
                f"mmap() accepts {there}"
            )
        physical = self.pci.bar(bar).address + offset
        return map_device(self.descriptor, region.offset + offset, size, physical, place, address)

    @contextmanager
    def map_bar(
        self, bar: int, offset: int = 0, size: int | None = None, place: Place = "1g"
    ) -> Iterator[Mapping]:
        """map_window() for the length of a `with`."""
        mapping = self.map_window(bar, offset, size, place)
        try:
            yield mapping
        finally:
            mapping.unmap()

    def map_dma(self, address: int, size: int, iova: int) -> None:
        """Let the device reach memory of this process at `iova`; raises OSError."""
        self._dma.map_dma(address, size, iova)
        self._dma_sizes[iova] = size

    def unmap_dma(self, iova: int) -> None:
        """Take away what map_dma() mapped at `iova`."""
        self._dma.unmap_dma(iova, self._dma_sizes.pop(iova))

    def _unmap_all_dma(self) -> None:
        for iova in list(self._dma_sizes):
            self.unmap_dma(iova)


def open_dma(bdf: str, group: str) -> Dma:
    """The group if there is one, as type1 is what designs are about; else the cdev."""
    if not (DEV_VFIO / group).exists():
        cdev = cdev_of(bdf)
        if cdev is not None:
            return Iommufd(cdev)
    return Container(group)


def parse_region(data: bytes) -> Region:
    """A struct vfio_region_info with its capabilities."""
    _argsz, flags, index, capability, size, offset = uapi.REGION_INFO.unpack_from(data)
    areas: tuple[tuple[int, int], ...] = ()
    if flags & uapi.VFIO_REGION_INFO_FLAG_MMAP and size:
        areas = ((0, size),)
        if flags & uapi.VFIO_REGION_INFO_FLAG_CAPS:
            sparse = sparse_areas(data, capability)
            areas = areas if sparse is None else sparse
    return Region(
        index,
        size,
        offset,
        bool(flags & uapi.VFIO_REGION_INFO_FLAG_READ),
        bool(flags & uapi.VFIO_REGION_INFO_FLAG_WRITE),
        areas,
    )


def sparse_areas(data: bytes, capability: int) -> tuple[tuple[int, int], ...] | None:
    """What the capability for sparse mmap lists; None if there is no such one."""
    while capability:
        kind, _version, following = uapi.CAP_HEADER.unpack_from(data, capability)
        if kind == uapi.VFIO_REGION_INFO_CAP_SPARSE_MMAP:
            start = capability + uapi.CAP_HEADER.size
            count, _reserved = uapi.SPARSE_MMAP.unpack_from(data, start)
            found = struct.iter_unpack(
                uapi.SPARSE_AREA.format,
                data[start + uapi.SPARSE_MMAP.size :][: count * uapi.SPARSE_AREA.size],
            )
            return tuple((offset, size) for offset, size in found)
        if following <= capability:
            break
        capability = following
    return None
