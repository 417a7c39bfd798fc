"""ioctl numbers and structs of include/uapi/linux/vfio.h and iommufd.h.

All structs have the byte order and the alignment of the machine, as in C.
"""

from struct import Struct


def _io(number: int) -> int:
    """_IO(';', number): no size, no direction."""
    return ord(";") << 8 | number


VFIO_GET_API_VERSION = _io(100)
VFIO_CHECK_EXTENSION = _io(101)
VFIO_SET_IOMMU = _io(102)
VFIO_GROUP_GET_STATUS = _io(103)
VFIO_GROUP_SET_CONTAINER = _io(104)
VFIO_GROUP_GET_DEVICE_FD = _io(106)
VFIO_DEVICE_GET_INFO = _io(107)
VFIO_DEVICE_GET_REGION_INFO = _io(108)
VFIO_DEVICE_RESET = _io(111)
VFIO_IOMMU_MAP_DMA = _io(113)
VFIO_IOMMU_UNMAP_DMA = _io(114)
VFIO_DEVICE_BIND_IOMMUFD = _io(118)
VFIO_DEVICE_ATTACH_IOMMUFD_PT = _io(119)

IOMMU_IOAS_ALLOC = _io(0x81)
IOMMU_IOAS_MAP = _io(0x85)
IOMMU_IOAS_UNMAP = _io(0x86)

VFIO_API_VERSION = 0
VFIO_TYPE1v2_IOMMU = 3
VFIO_GROUP_FLAGS_VIABLE = 1
VFIO_DEVICE_FLAGS_RESET = 1
VFIO_REGION_INFO_FLAG_READ = 1
VFIO_REGION_INFO_FLAG_WRITE = 2
VFIO_REGION_INFO_FLAG_MMAP = 4
VFIO_REGION_INFO_FLAG_CAPS = 8
VFIO_REGION_INFO_CAP_SPARSE_MMAP = 1
VFIO_DMA_MAP_FLAG_READ_WRITE = 3
IOMMU_IOAS_MAP_FIXED_READ_WRITE = 7

VFIO_PCI_CONFIG_REGION_INDEX = 7

# argsz, flags
GROUP_STATUS = Struct("=2I")
# argsz, flags, regions, irqs, cap_offset
DEVICE_INFO = Struct("=5I")
# argsz, flags, index, cap_offset, size, offset
REGION_INFO = Struct("=4I2Q")
# id, version, offset of the next one
CAP_HEADER = Struct("=2HI")
# areas, reserved; behind a CAP_HEADER, and before the areas
SPARSE_MMAP = Struct("=2I")
# offset, size
SPARSE_AREA = Struct("=2Q")
# argsz, flags, vaddr, iova, size
DMA_MAP = Struct("=2I3Q")
# argsz, flags, iova, size
DMA_UNMAP = Struct("=2I2Q")
# argsz, flags, iommufd, out_devid
BIND_IOMMUFD = Struct("=2IiI")
# argsz, flags, pt_id
ATTACH_IOMMUFD_PT = Struct("=3I")
# size, id
DESTROY = Struct("=2I")
# size, flags, out_ioas_id
IOAS_ALLOC = Struct("=3I")
# size, flags, ioas_id, reserved, user_va, length, iova
IOAS_MAP = Struct("=4I3Q")
# size, ioas_id, iova, length
IOAS_UNMAP = Struct("=2I2Q")
