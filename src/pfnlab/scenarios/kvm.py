"""A guest reaches a mapping through KVM, and the mapping goes away."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def guest_touch(lab: Lab) -> None:
    """A guest touches a fresh mapping of the BAR."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    vm = lab.vm(mapping)

    @lab.task
    def guest() -> None:
        lab.guest_touch(vm, mapping)

    lab.always(*RULES)


@scenario
def guest_touch_vs_disable(lab: Lab) -> None:
    """A guest touches the BAR while memory decoding is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    vm = lab.vm(mapping)

    @lab.task
    def guest() -> None:
        lab.guest_touch(vm, mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def guest_touch_vs_munmap(lab: Lab) -> None:
    """A guest touches the BAR while the VMM unmaps it."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    vm = lab.vm(mapping)

    @lab.task
    def guest() -> None:
        lab.guest_touch(vm, mapping)

    @lab.task
    def vmm() -> None:
        lab.munmap(mapping)

    lab.always(*RULES)
