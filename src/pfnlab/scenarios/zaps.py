"""Faults while the device is switched off, and while the mapping goes away."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import mapped_bar, mapped_second_bar, touches, turns_memory, unmaps


@scenario
def zap_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the guest turns memory decoding off."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))
    lab.add_task("config", turns_memory(lab, vdev, "off"))
    lab.always(*RULES)


@scenario
def disable_enable_vs_fault(lab: Lab) -> None:
    """A vCPU touches a mapping that is filled, while memory is turned off and on."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping, times=2))
    lab.add_task("config", turns_memory(lab, vdev, "off", "on"))
    lab.always(*RULES)


@scenario
def munmap_vs_fault(lab: Lab) -> None:
    """A vCPU touches a mapping while another thread unmaps it."""
    _vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))
    lab.add_task("munmap", unmaps(lab, mapping))
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


@scenario
def second_bar_vs_disable(lab: Lab) -> None:
    """A vCPU touches the second BAR while the guest turns memory decoding off."""
    vdev, mapping = mapped_second_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))
    lab.add_task("config", turns_memory(lab, vdev, "off"))
    lab.always(*RULES)
