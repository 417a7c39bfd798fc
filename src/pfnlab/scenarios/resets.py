"""Resets while the BAR is touched."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import mapped_bar, mapped_second_bar, resets, touches


@scenario
def reset_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR while the device is reset."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))
    lab.add_task("vmm", resets(lab, vdev))
    lab.always(*RULES)


@scenario
def flr_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR during an FLR; sysfs takes the device lock, which makes it fail."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))

    @lab.task
    def config() -> None:
        lab.flr(vdev)

    @lab.task
    def sysfs() -> None:
        lab.read_sriov_numvfs(vdev)

    lab.always(*RULES)


@scenario
def hot_reset_vs_fault(lab: Lab) -> None:
    """Two devices are reset together while a vCPU touches the second."""
    first = lab.vfio_device()
    second = lab.vfio_device()
    lab.device_set(first, second)
    mapping = lab.mmap(second)
    lab.add_task("vcpu", touches(lab, mapping))

    @lab.task
    def vmm() -> None:
        lab.hot_reset(first)

    lab.always(*RULES)


@scenario
def second_bar_vs_hot_reset(lab: Lab) -> None:
    """Two devices are reset together while a vCPU touches the second BAR of one."""
    vdev, mapping = mapped_second_bar(lab)
    lab.device_set(vdev, lab.vfio_device())
    lab.add_task("vcpu", touches(lab, mapping))

    @lab.task
    def vmm() -> None:
        lab.hot_reset(vdev)

    lab.always(*RULES)


@scenario
def hot_reset_vs_disable(lab: Lab) -> None:
    """Two devices are reset together while memory of the second is turned off."""
    first = lab.vfio_device()
    second = lab.vfio_device()
    lab.device_set(first, second)
    lab.touch(lab.mmap(second))

    @lab.task
    def vmm() -> None:
        lab.hot_reset(first)

    @lab.task
    def config() -> None:
        lab.write_command(second, memory=False)

    lab.always(*RULES)
