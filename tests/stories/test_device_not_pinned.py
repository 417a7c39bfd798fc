"""A driver's mmap that gives the file reference of its VMA back.

vm_private_data points to the device, so what is the file for?  It is what keeps the device
open: with the fd closed and the mapping still there, a fault finds a device that has been
shut down.
"""

from dataclasses import replace

from pfnlab import scenario
from pfnlab.designs import huge_fault
from pfnlab.kernel import *
from tests.stories.story import told

RULE = "no_fault_after_release"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    error = huge_fault.mmap(vdev, vma)
    fput(vma.vm_file)
    return error


device_not_pinned = replace(huge_fault.design, name="device_not_pinned", mmap=mmap)


@scenario
def close_vs_fault(lab: Lab) -> None:
    """A vCPU touches a mapping while another thread closes the fd of the device."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def closer() -> None:
        lab.close(vdev)


def test_the_handler_runs_while_the_device_is_released() -> None:
    finding = told(close_vs_fault, device_not_pinned, RULE, "vcpu:5,closer:2")

    assert "no lock orders the two" in finding.violation.evidence[0]


@scenario
def touch_after_close(lab: Lab) -> None:
    """A vCPU closes the fd, then touches the mapping."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.close(vdev)
        lab.touch(mapping)


def test_the_handler_runs_after_the_release() -> None:
    finding = told(touch_after_close, device_not_pinned, RULE, "vcpu:12")

    assert finding.violation.evidence == ("vcpu calls the handler; vdev.file is released.",)
