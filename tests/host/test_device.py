"""Structs that pass between VFIO and us."""

import struct
from pathlib import Path

import pytest

from pfnlab.host import iommufd, uapi
from pfnlab.host.device import parse_region
from tests.host.trees import put

SIZES = {
    "GROUP_STATUS": 8, "DEVICE_INFO": 20, "REGION_INFO": 32, "CAP_HEADER": 8, "SPARSE_MMAP": 8,
    "SPARSE_AREA": 16, "DMA_MAP": 32, "DMA_UNMAP": 24, "BIND_IOMMUFD": 16,
    "ATTACH_IOMMUFD_PT": 12, "DESTROY": 8, "IOAS_ALLOC": 12, "IOAS_MAP": 40, "IOAS_UNMAP": 24,
}  # fmt: skip


@pytest.mark.parametrize("name", SIZES)
def test_a_struct_is_as_large_as_in_the_kernel(name: str) -> None:
    assert getattr(uapi, name).size == SIZES[name]


def test_numbers_of_ioctls_are_those_of_the_kernel() -> None:
    assert uapi.VFIO_GET_API_VERSION == 0x3B64
    assert uapi.VFIO_DEVICE_RESET == 0x3B6F
    assert uapi.VFIO_IOMMU_MAP_DMA == 0x3B71
    assert uapi.VFIO_DEVICE_ATTACH_IOMMUFD_PT == 0x3B77
    assert uapi.IOMMU_IOAS_MAP == 0x3B85


def test_a_region_that_can_be_mapped_is_one_area() -> None:
    region = parse_region(uapi.REGION_INFO.pack(32, 7, 2, 0, 1 << 32, 2 << 40))

    assert (region.index, region.size, region.offset) == (2, 1 << 32, 2 << 40)
    assert (region.readable, region.writable) == (True, True)
    assert region.mmap_areas == ((0, 1 << 32),)


@pytest.mark.parametrize(("flags", "size"), [(3, 4096), (7, 0)])
def test_a_region_without_mmap_has_no_areas(flags: int, size: int) -> None:
    assert parse_region(uapi.REGION_INFO.pack(32, flags, 7, 0, size, 0)).mmap_areas == ()


def with_capabilities(*capabilities: bytes) -> bytes:
    data = uapi.REGION_INFO.pack(0, 15, 0, 32, 16384, 0)
    for number, (kind, body) in enumerate((c[0], c[1:]) for c in capabilities):
        following = len(data) + 8 + len(body) if number + 1 < len(capabilities) else 0
        data += uapi.CAP_HEADER.pack(kind, 1, following) + body
    return data


def test_areas_of_sparse_mmap_are_read_behind_other_capabilities() -> None:
    sparse = struct.pack("=2I4Q", 2, 0, 0, 8192, 12288, 4096)
    region = parse_region(with_capabilities(b"\3" + bytes(8), b"\1" + sparse))
    assert region.mmap_areas == ((0, 8192), (12288, 4096))


def test_other_capabilities_leave_all_of_it() -> None:
    assert parse_region(with_capabilities(b"\3")).mmap_areas == ((0, 16384),)


def test_a_cdev_is_used_where_iommufd_is(tmp_path: Path) -> None:
    assert iommufd.cdev_of("0000:17:00.0", tmp_path) is None
    put(tmp_path / "dev/iommu")
    assert iommufd.cdev_of("0000:17:00.0", tmp_path) is None
    put(tmp_path / "sys/bus/pci/devices/0000:17:00.0/vfio-dev/vfio3/dev", "243:3\n")
    assert iommufd.cdev_of("0000:17:00.0", tmp_path) == tmp_path / "dev/vfio/devices/vfio3"


def test_a_map_request_of_iommufd_is_fixed_readable_and_writable() -> None:
    assert struct.unpack("=4I3Q", iommufd.map_request(5, 0x7F0000000000, 4096, 1 << 32)) == (
        40, 7, 5, 0, 0x7F0000000000, 4096, 1 << 32,
    )  # fmt: skip
