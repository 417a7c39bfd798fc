"""What is mapped, and when: one page of a mapping, part of a BAR, mmap() in a race."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import PAGE_SIZE, Lab
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import FAR, PMD


@scenario
def touch_last_page(lab: Lab) -> None:
    """One vCPU touches the last page of a fresh mapping first."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping, offset=mapping.size - PAGE_SIZE)

    lab.always(*RULES)


@scenario
def mmap_vs_disable(lab: Lab) -> None:
    """A process maps the BAR and touches it while memory decoding is turned off."""
    vdev = lab.vfio_device()
    mm = lab.first_process()

    @lab.task
    def vmm() -> None:
        mapping = lab.mmap(vdev, mm=mm)
        lab.touch(mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def unaligned_bar(lab: Lab) -> None:
    """A vCPU touches a window at an odd page of the BAR, mapped at the start of a PMD."""
    vdev = lab.vfio_device(2 * PMD)
    # Without address= it would be congruent to the offset, as QEMU makes it.
    mapping = lab.mmap(vdev, offset=PAGE_SIZE, size=PMD, address=MMAP_BASE)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    lab.always(*RULES)


@scenario
def mapping_of_part(lab: Lab) -> None:
    """A vCPU touches a mapping that begins and ends inside a PMD, with a whole one between."""
    vdev = lab.vfio_device(4 * PMD)
    mapping = lab.mmap(vdev, offset=PAGE_SIZE, size=2 * PMD)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        lab.touch(mapping, offset=PMD - PAGE_SIZE)
        lab.touch(mapping, offset=mapping.size - PAGE_SIZE)

    lab.always(*RULES)


@scenario
def mmap_vs_reset(lab: Lab) -> None:
    """A process maps the BAR and touches it while the device is reset."""
    vdev = lab.vfio_device()
    mm = lab.first_process()

    @lab.task
    def vmm() -> None:
        lab.touch(lab.mmap(vdev, mm=mm))

    @lab.task
    def other() -> None:
        lab.reset(vdev)

    lab.always(*RULES)


@scenario
def mapping_that_grows(lab: Lab) -> None:
    """A mapping is to grow beyond its BAR, and a vCPU touches what it has grown by."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        grown = lab.mremap(mapping, new_size=2 * mapping.size, new_address=FAR)
        if not grown.error:
            lab.touch(grown, offset=mapping.size)

    lab.always(*RULES)


@scenario
def mapping_without_its_head(lab: Lab) -> None:
    """A process unmaps the first page of a mapping, and touches the next one."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vmm() -> None:
        lab.munmap(mapping, size=PAGE_SIZE)
        lab.touch(mapping, offset=PAGE_SIZE)

    lab.always(*RULES)


@scenario
def mapping_that_moves(lab: Lab) -> None:
    """A process moves a mapping, and touches a page of it where it is now."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vmm() -> None:
        lab.touch(lab.mremap(mapping, new_address=FAR), offset=PAGE_SIZE)

    lab.always(*RULES)


@scenario
def two_windows(lab: Lab) -> None:
    """A vCPU touches two mappings of one BAR, first the one that was made first."""
    vdev = lab.vfio_device(2 * PMD)
    first = lab.mmap(vdev, offset=PAGE_SIZE, size=PMD)
    second = lab.mmap(vdev, offset=PMD + PAGE_SIZE, size=PAGE_SIZE)

    @lab.task
    def vcpu() -> None:
        lab.touch(first)
        lab.touch(second)

    lab.always(*RULES)
