"""Faults on a device whose power is taken away."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def d3_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the guest puts the device into D3hot and back."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def config() -> None:
        lab.set_power_state(vdev, "D3hot")
        lab.set_power_state(vdev, "D0")

    lab.always(*RULES)


@scenario
def low_power_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the device enters and leaves low power."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def vmm() -> None:
        lab.pm_entry(vdev)
        lab.pm_exit(vdev)

    lab.always(*RULES)
