"""iommufd and the cdev of a device, for kernels with CONFIG_IOMMUFD and CONFIG_VFIO_DEVICE_CDEV.

Debian's kernels have neither: tests hold the structs, and nobody has run this on a device.
"""

import fcntl
import os
from pathlib import Path

from pfnlab.host import uapi
from pfnlab.host.errors import HostError
from pfnlab.host.pci import ROOT, devices_folder

DEV_IOMMU = Path("dev/iommu")


def cdev_of(bdf: str, root: Path = ROOT) -> Path | None:
    """/dev/vfio/devices/vfioN of a device that vfio-pci has, or None."""
    if not (root / DEV_IOMMU).exists():
        return None
    try:
        names = sorted(path.name for path in (devices_folder(root) / bdf / "vfio-dev").iterdir())
    except OSError:
        return None
    return root / "dev/vfio/devices" / names[0] if names else None


class Iommufd:
    """An I/O address space of its own, to which devices are attached as they are opened."""

    def __init__(self, cdev: Path) -> None:
        self.cdev = cdev
        self.iommufd = open_file(ROOT / DEV_IOMMU)
        request = bytearray(uapi.IOAS_ALLOC.pack(uapi.IOAS_ALLOC.size, 0, 0))
        try:
            fcntl.ioctl(self.iommufd, uapi.IOMMU_IOAS_ALLOC, request)
        except BaseException:
            os.close(self.iommufd)
            raise
        self.ioas: int = uapi.IOAS_ALLOC.unpack(request)[2]

    def open_device(self, _bdf: str) -> int:
        """A file descriptor of the device, which the caller closes."""
        device = open_file(self.cdev)
        try:
            bind = bytearray(uapi.BIND_IOMMUFD.pack(uapi.BIND_IOMMUFD.size, 0, self.iommufd, 0))
            fcntl.ioctl(device, uapi.VFIO_DEVICE_BIND_IOMMUFD, bind)
            attach = bytearray(
                uapi.ATTACH_IOMMUFD_PT.pack(uapi.ATTACH_IOMMUFD_PT.size, 0, self.ioas)
            )
            fcntl.ioctl(device, uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT, attach)
        except BaseException:
            os.close(device)
            raise
        return device

    def map_dma(self, address: int, size: int, iova: int) -> None:
        """Raises OSError with the errno of the kernel."""
        fcntl.ioctl(self.iommufd, uapi.IOMMU_IOAS_MAP, map_request(self.ioas, address, size, iova))

    def unmap_dma(self, iova: int, size: int) -> None:
        request = bytearray(uapi.IOAS_UNMAP.pack(uapi.IOAS_UNMAP.size, self.ioas, iova, size))
        fcntl.ioctl(self.iommufd, uapi.IOMMU_IOAS_UNMAP, request)

    def close(self) -> None:
        os.close(self.iommufd)


def map_request(ioas: int, address: int, size: int, iova: int) -> bytearray:
    return bytearray(
        uapi.IOAS_MAP.pack(
            uapi.IOAS_MAP.size, uapi.IOMMU_IOAS_MAP_FIXED_READ_WRITE, ioas, 0, address, size, iova
        )
    )


def open_file(path: Path) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise HostError(f"cannot open {path}: {error.strerror}") from error
