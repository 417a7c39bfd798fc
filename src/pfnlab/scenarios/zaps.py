"""Faults while the device is switched off, and while the mapping goes away."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def zap_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the guest turns memory decoding off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def disable_enable_vs_fault(lab: Lab) -> None:
    """A vCPU touches a mapping that is filled, while memory is turned off and on."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        lab.touch(mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


@scenario
def munmap_vs_fault(lab: Lab) -> None:
    """A vCPU touches a mapping while another thread unmaps it."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def munmap() -> None:
        lab.munmap(mapping)

    lab.always(*RULES)


@scenario
def nowait_vs_disable(lab: Lab) -> None:
    """The kernel faults the BAR in and may not wait, while memory decoding is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def worker() -> None:
        lab.fault_nowait(mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)
