"""Faults on an enabled device."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import PAGE_SIZE, Lab
from pfnlab.rules import RULES


@scenario
def first_fault(lab: Lab) -> None:
    """One vCPU touches a fresh mapping."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch_enabled(mapping)

    lab.always(*RULES)


@scenario
def two_faults(lab: Lab) -> None:
    """Two vCPUs touch the first and the last page of a fresh mapping."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu0() -> None:
        lab.touch_enabled(mapping)

    @lab.task
    def vcpu1() -> None:
        lab.touch_enabled(mapping, offset=mapping.size - PAGE_SIZE)

    lab.always(*RULES)
