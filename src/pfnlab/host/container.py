"""A container, a group and type1: how vfio-pci is opened on every kernel that has it."""

import fcntl
import os
from pathlib import Path

from pfnlab.host import uapi
from pfnlab.host.errors import HostError
from pfnlab.host.pci import group_members

DEV_VFIO = Path("/dev/vfio")


class Container:
    """One group in a container of its own, with type1 for DMA.

    Raises HostError where there is no VFIO, no right to use it, or another device of the
    group is in use by the kernel.
    """

    def __init__(self, group: str) -> None:
        self._open: list[int] = []
        try:
            self.container = self.open_file(DEV_VFIO / "vfio")
            self.group = self.open_file(DEV_VFIO / group)
            self.join(group)
        except BaseException:
            self.close()
            raise

    def open_file(self, path: Path) -> int:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(f"cannot open {path}: {error.strerror}") from error
        self._open.append(descriptor)
        return descriptor

    def join(self, name: str) -> None:
        version = fcntl.ioctl(self.container, uapi.VFIO_GET_API_VERSION)
        if version != uapi.VFIO_API_VERSION:
            raise HostError(f"VFIO has version {version} of its interface, not 0")
        status = bytearray(uapi.GROUP_STATUS.pack(uapi.GROUP_STATUS.size, 0))
        fcntl.ioctl(self.group, uapi.VFIO_GROUP_GET_STATUS, status)
        if not uapi.GROUP_STATUS.unpack(status)[1] & uapi.VFIO_GROUP_FLAGS_VIABLE:
            others = ", ".join(group_members(name))
            raise HostError(
                f"IOMMU group {name} is not viable: no device in it may have a driver of the "
                f"kernel ({others})"
            )
        fcntl.ioctl(self.group, uapi.VFIO_GROUP_SET_CONTAINER, self.container.to_bytes(4, "little"))
        if not fcntl.ioctl(self.container, uapi.VFIO_CHECK_EXTENSION, uapi.VFIO_TYPE1v2_IOMMU):
            raise HostError("this kernel has no type1: modprobe vfio_iommu_type1")
        fcntl.ioctl(self.container, uapi.VFIO_SET_IOMMU, uapi.VFIO_TYPE1v2_IOMMU)

    def open_device(self, bdf: str) -> int:
        """A file descriptor of the device, which the caller closes."""
        name = bytearray(bdf.encode() + b"\0")
        descriptor: int = fcntl.ioctl(self.group, uapi.VFIO_GROUP_GET_DEVICE_FD, name)
        return descriptor

    def map_dma(self, address: int, size: int, iova: int) -> None:
        """Raises OSError with the errno of the kernel."""
        request = uapi.DMA_MAP.pack(
            uapi.DMA_MAP.size, uapi.VFIO_DMA_MAP_FLAG_READ_WRITE, address, iova, size
        )
        fcntl.ioctl(self.container, uapi.VFIO_IOMMU_MAP_DMA, request)

    def unmap_dma(self, iova: int, size: int) -> None:
        request = bytearray(uapi.DMA_UNMAP.pack(uapi.DMA_UNMAP.size, 0, iova, size))
        fcntl.ioctl(self.container, uapi.VFIO_IOMMU_UNMAP_DMA, request)

    def close(self) -> None:
        """The kernel takes group and container apart when the last of them is closed."""
        while self._open:
            os.close(self._open.pop())
