"""What the driver itself does to the BAR: reads for user space, and interrupts."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import mapped_bar, touches, turns_memory


@scenario
def read_bar_vs_disable(lab: Lab) -> None:
    """A vCPU touches the BAR and reads it through the driver, while memory is turned off."""
    vdev, mapping = mapped_bar(lab)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        lab.read_bar(vdev)

    lab.add_task("config", turns_memory(lab, vdev, "off"))
    lab.always(*RULES)


@scenario
def interrupts_vs_disable(lab: Lab) -> None:
    """Interrupts are set up while memory is turned off and a vCPU touches the BAR."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("vcpu", touches(lab, mapping))
    lab.add_task("config", turns_memory(lab, vdev, "off"))

    @lab.task
    def vmm() -> None:
        lab.enable_interrupts(vdev)

    lab.always(*RULES)


@scenario
def interrupts_vs_fault(lab: Lab) -> None:
    """Interrupts are set up with memory off, so the driver forces it on; a vCPU touches the BAR."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    lab.write_command(vdev, memory=False)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def vmm() -> None:
        lab.enable_interrupts(vdev)

    lab.always(*RULES)
