"""Faults on a device whose power is taken away."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import mapped_bar, touches


@scenario
def d3_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the guest puts the device into D3hot and back."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))

    @lab.task
    def config() -> None:
        lab.set_power_state(vdev, "D3hot")
        lab.set_power_state(vdev, "D0")

    lab.always(*RULES)


@scenario
def low_power_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the device enters and leaves low power."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))

    @lab.task
    def vmm() -> None:
        lab.pm_entry(vdev)
        lab.pm_exit(vdev)

    lab.always(*RULES)
