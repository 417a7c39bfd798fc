"""What scenarios are made of: a BAR that is mapped, and what a task does to it.

Each function gives the work of one task: lab.add_task("vcpu", touches(lab, mapping)).
"""

from collections.abc import Callable
from typing import Literal

from pfnlab.kernel import PAGE_SIZE, PMD_ORDER, Lab, Mapping, VfioPciDevice
from pfnlab.kernel.lab_memory import MMAP_BASE

PMD = PAGE_SIZE << PMD_ORDER
FAR = MMAP_BASE >> 1  # where nothing is mapped, as aligned as the first mapping

Work = Callable[[], object]


def mapped_bar(lab: Lab, size: int | None = None) -> tuple[VfioPciDevice, Mapping]:
    """A device, and its BAR mapped whole in the first process.  Nothing is faulted in."""
    vdev = lab.vfio_device() if size is None else lab.vfio_device(size)
    return vdev, lab.mmap(vdev)


def mapped_second_bar(lab: Lab) -> tuple[VfioPciDevice, Mapping]:
    """A device with two BARs of a PMD each, of which the second is mapped."""
    vdev = lab.vfio_device(PMD, PMD)
    return vdev, lab.mmap(vdev, bar=1)


def touches(lab: Lab, mapping: Mapping, times: int = 1) -> Work:
    """A CPU touches the first page."""

    def work() -> None:
        for _time in range(times):
            lab.touch(mapping)

    return work


def guest_touches(lab: Lab, mapping: Mapping) -> Work:
    """A vCPU touches the first page through KVM."""
    vm = lab.vm(mapping)
    return lambda: lab.guest_touch(vm, mapping)


def turns_memory(lab: Lab, vdev: VfioPciDevice, *ways: Literal["on", "off"]) -> Work:
    """Memory decoding is turned on or off by PCI_COMMAND, once for each word."""

    def work() -> None:
        for way in ways:
            lab.write_command(vdev, memory=way == "on")

    return work


def resets(lab: Lab, vdev: VfioPciDevice) -> Work:
    return lambda: lab.reset(vdev)


def unmaps(lab: Lab, mapping: Mapping) -> Work:
    return lambda: lab.munmap(mapping)


def maps_for_dma(lab: Lab, mapping: Mapping) -> Work:
    """type1 maps it.  There is one container for all who do."""
    container = lab.containers[0] if lab.containers else lab.iommu_container()
    return lambda: lab.map_dma(container, mapping)
