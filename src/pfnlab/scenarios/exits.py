"""A process ends while others work on its mappings."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def exit_vs_fault(lab: Lab) -> None:
    """A thread touches the BAR and ends, while the other thread of its process ends."""
    vdev = lab.vfio_device()
    mm = lab.process()
    mapping = lab.mmap(vdev, mm=mm)
    lab.thread(mm)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        lab.exit(mm)

    @lab.task
    def other() -> None:
        lab.exit(mm)

    lab.always(*RULES)


@scenario
def touch_and_exit_vs_disable(lab: Lab) -> None:
    """The only thread of a process touches the BAR and ends while memory is turned off."""
    vdev = lab.vfio_device()
    mm = lab.process()
    mapping = lab.mmap(vdev, mm=mm)

    @lab.task
    def leaver() -> None:
        lab.touch(mapping)
        lab.exit(mm)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)
