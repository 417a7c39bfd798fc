"""BARs, windows, and whether memory decodes."""

from collections.abc import Callable

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import (
    EINVAL,
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_ORDER,
    VM_FAULT_SIGBUS,
    GiB,
    Lab,
    Mapping,
    VfioPciDevice,
    Vma,
)
from pfnlab.kernel.locks import mutex_lock, mutex_unlock
from pfnlab.kernel.vfio import (
    VFIO_PCI_INDEX_TO_OFFSET,
    update_memory_enabled,
    vfio_pci_core_close_device,
    vfio_pci_core_mmap,
)
from pfnlab.kernel.vma import VM_READ, VM_SHARED
from tests.kernel.devices import outcome, run

BAR_PAGES = 1 << PMD_ORDER


@pytest.mark.parametrize(
    ("index", "first", "count", "flags", "error"),
    [
        (0, 0, BAR_PAGES, VM_SHARED, 0),
        (0, BAR_PAGES - 1, 1, VM_SHARED, 0),
        (0, BAR_PAGES - 1, 2, VM_SHARED, -EINVAL),
        (0, BAR_PAGES, 1, VM_SHARED, -EINVAL),
        (1, 0, 1, VM_SHARED, -EINVAL),
        (6, 0, 1, VM_SHARED, -EINVAL),
        (0, 0, 1, VM_READ, -EINVAL),
    ],
)
def test_a_window_must_be_shared_and_lie_in_a_bar(
    index: int, first: int, count: int, flags: int, error: int
) -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> int:
        start = 0x10000000
        pgoff = (VFIO_PCI_INDEX_TO_OFFSET(index) >> PAGE_SHIFT) + first
        with mapping.mm.mmap_lock.write():
            vma = Vma(mapping.mm, start, start + count * PAGE_SIZE, pgoff, flags)
            return vfio_pci_core_mmap(vdev, vma)

    assert outcome(code) == error


def seen_in(build: Callable[[Lab], list[VfioPciDevice]]) -> list[VfioPciDevice]:
    """The devices that a setup makes."""
    devices: list[VfioPciDevice] = []

    def setup(lab: Lab) -> None:
        devices[:] = build(lab)
        lab.add_task("nobody", lambda: None)

    explore(Scenario("devices", "Devices are made.", setup), huge_fault.design)
    return devices


def test_every_bar_has_its_own_offset_and_pfns() -> None:
    (vdev,) = seen_in(lambda lab: [lab.vfio_device(PAGE_SIZE, 2 * PAGE_SIZE)])

    pages = [VFIO_PCI_INDEX_TO_OFFSET(bar) >> PAGE_SHIFT for bar in (0, 1)]
    assert [vdev.bar_pfn(page) << PAGE_SHIFT for page in pages] == [bar[0] for bar in vdev.bars]
    assert vdev.bar_pfn(pages[1] + 1) == vdev.bar_pfn(pages[1]) + 1
    assert vdev.shows(vdev.bar_pfn(pages[1]), 2)
    assert not vdev.shows(vdev.bar_pfn(pages[1]) + 2, 1)


def test_two_devices_do_not_share_addresses() -> None:
    first, second = seen_in(lambda lab: [lab.vfio_device(GiB), lab.vfio_device()])

    assert not first.shows(second.bar_pfn(0), 1)
    assert not second.shows(first.bar_pfn(0), GiB >> PAGE_SHIFT)


@pytest.mark.parametrize(("is_virtfn", "enabled"), [(False, False), (True, True)])
def test_the_memory_bit_of_a_virtual_function_is_no_matter(is_virtfn: bool, enabled: bool) -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> bool:
        lab.write_command(vdev, memory=False)
        return bool(vdev.memory_enabled) and lab.touch(mapping) == 0

    assert outcome(code, is_virtfn=is_virtfn) is enabled


def test_a_virtual_function_in_d3_decodes_nothing() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.set_power_state(vdev, "D3hot")
        return lab.touch(mapping)

    assert outcome(code, is_virtfn=True) == VM_FAULT_SIGBUS


def test_memory_is_changed_only_under_memory_lock() -> None:
    result, _ = run(lambda _lab, vdev, _mapping: update_memory_enabled(vdev))

    assert result.violation is not None
    assert result.violation.rule == "command_written_under_memory_lock"


def close(_lab: Lab, vdev: VfioPciDevice, _mapping: Mapping) -> bool:
    mutex_lock(vdev.dev_set.lock)
    vfio_pci_core_close_device(vdev)
    mutex_unlock(vdev.dev_set.lock)
    return bool(vdev.memory_enabled)


def test_a_closed_device_decodes_nothing() -> None:
    assert outcome(close) is False


def test_a_device_that_is_closed_while_it_is_mapped_breaks_a_rule() -> None:
    def touch_and_close(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.touch(mapping)
        close(lab, vdev, mapping)

    result, _ = run(touch_and_close)

    assert result.violation is not None
    assert result.violation.rule == "no_leaf_while_memory_disabled"


def test_a_device_is_closed_under_the_lock_of_its_set() -> None:
    result, _ = run(lambda _lab, vdev, _mapping: vfio_pci_core_close_device(vdev))

    assert result.violation is not None
    assert result.violation.rule == "lockdep_assert_held"
