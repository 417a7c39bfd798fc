"""What made-up machines say about themselves."""

import gzip
from pathlib import Path

import pytest

from pfnlab.host.config_space import MsixTable
from pfnlab.host.doctor import examine_host, examine_kernel
from pfnlab.host.errors import HostError
from pfnlab.host.machine import read_machine, thp_policy
from tests.host.trees import put, put_machine, put_vfio_host


def test_a_server_with_vfio(tmp_path: Path) -> None:
    put_vfio_host(tmp_path)
    host = examine_host(tmp_path)

    assert host.machine.name == "Some Server, Some CPU"
    assert (host.machine.address_bits, host.machine.thp) == (46, "madvise")
    assert host.machine.flags == ("pdpe1gb", "la57")
    assert not host.machine.virtual
    assert host.kernel.design.name == "huge_fault"
    assert host.kernel.options["VFIO_PCI"] == "m"
    assert host.kernel.options["IOMMUFD"] == "n"
    assert host.kernel.options_from == "/boot/config-6.12.95"
    assert host.vfio.groups == ("17",)
    assert (host.vfio.iommus, host.vfio.iommu_groups) == (("dmar0",), 2)
    assert (host.vfio.container, host.vfio.iommufd) == (True, False)
    gpu = host.devices[0]
    assert (gpu.full_config, gpu.flr, gpu.msix) == (True, True, MsixTable(0, 0x2000, 2048))
    assert host.devices[1].group_members == ("0000:3d:00.0", "0000:5e:00.0")


def test_an_empty_tree_is_a_machine_about_which_nothing_is_known(tmp_path: Path) -> None:
    host = examine_host(tmp_path)

    assert host.devices == ()
    assert (host.machine.name, host.machine.thp) == ("", "")
    assert host.kernel.options == {}
    assert all(host.counters.values())


@pytest.mark.parametrize("name", ["vendor", "resource", "config", "reset_method", "class"])
def test_a_file_that_is_missing_or_empty_hurts_nobody(tmp_path: Path, name: str) -> None:
    put_vfio_host(tmp_path)
    for bdf in ("0000:17:00.0", "0000:3d:00.0"):
        path = tmp_path / "sys/bus/pci/devices" / bdf / name
        path.unlink()
    put(tmp_path / "sys/bus/pci/devices/0000:3d:00.0" / name, b"\xff\xfe")

    assert [device.pci.bdf for device in examine_host(tmp_path).devices] == [
        "0000:17:00.0", "0000:3d:00.0", "0000:5e:00.0",
    ]  # fmt: skip


def test_any_part_of_the_tree_may_be_missing(tmp_path: Path) -> None:
    put_vfio_host(tmp_path)
    for path in sorted(tmp_path.rglob("*"), reverse=True):
        if path.is_symlink() or path.is_file():
            path.unlink()
        else:
            path.rmdir()
        found = examine_host(tmp_path)

    assert (found.devices, found.kernel.options, found.kernel.design.name) == ((), {}, "")


def test_a_configuration_may_be_in_proc(tmp_path: Path) -> None:
    put(tmp_path / "proc/config.gz", gzip.compress(b"CONFIG_VFIO_PCI=y\n"))
    assert examine_host(tmp_path).kernel.options["VFIO_PCI"] == "y"
    put(tmp_path / "proc/config.gz", b"broken")
    assert examine_host(tmp_path).kernel.options == {}


def test_a_guest_is_told_by_its_cpu(tmp_path: Path) -> None:
    put_machine(tmp_path, virtual=True)
    assert read_machine(tmp_path).virtual


def test_a_kernel_may_have_no_transparent_huge_pages(tmp_path: Path) -> None:
    assert thp_policy(tmp_path) == ""


def test_an_unpacked_kernel_is_told_by_its_module(tmp_path: Path) -> None:
    module = tmp_path / "usr/lib/modules/6.19/kernel/drivers/vfio/pci/vfio-pci-core.ko"
    put(module, b"\0vfio_pci_mmap_huge_fault\0vfio_pci_dma_buf_move\0")
    put(tmp_path / "usr/lib/modules/6.19/config", "CONFIG_VFIO_GROUP=y\n")
    kernel = examine_kernel(tmp_path)

    assert (kernel.release, kernel.design.name) == ("6.19", "huge_fault")
    assert kernel.options["VFIO_GROUP"] == "y"


def test_of_several_unpacked_kernels_the_newest_is_meant(tmp_path: Path) -> None:
    for release in ("6.1.5", "6.12.9", "6.9.1"):
        put(tmp_path / f"lib/modules/{release}/kernel/drivers/vfio/pci/vfio-pci-core.ko", b"")

    assert examine_kernel(tmp_path).release == "6.12.9"


def test_a_kernel_without_vfio_and_no_kernel_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="no kernel is in "):
        examine_kernel(tmp_path)
    put(tmp_path / "lib/modules/6.19/kernel/fs/x.ko")
    assert examine_kernel(tmp_path).design.name == ""
