"""Large leaves that are cut, moved, or met by a fault at another level."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import MADV_NOHUGEPAGE, PAGE_SIZE, PUD_ORDER, Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import FAR, PMD


@scenario
def munmap_in_a_pud(lab: Lab) -> None:
    """A vCPU touches a BAR that a PUD leaf maps, unmaps its second half, and touches the first."""
    vdev = lab.vfio_device(PAGE_SIZE << PUD_ORDER)
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        lab.munmap(mapping, offset=mapping.size // 2)
        lab.touch(mapping)

    lab.always(*RULES)


@scenario
def nohugepage_vs_fault(lab: Lab) -> None:
    """A vCPU touches the BAR; another thread wants no large leaves, and touches its last page."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def vmm() -> None:
        lab.madvise(mapping, MADV_NOHUGEPAGE)
        lab.touch(mapping, offset=mapping.size - PAGE_SIZE)

    lab.always(*RULES)


@scenario
def munmap_of_half_vs_fault(lab: Lab) -> None:
    """The second half of a filled mapping is unmapped while a vCPU touches the first."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    lab.touch(mapping)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    @lab.task
    def munmap() -> None:
        lab.munmap(mapping, offset=PMD // 2)

    lab.always(*RULES)


@scenario
def munmap_of_half_vs_disable(lab: Lab) -> None:
    """Memory is turned off while the first half of a filled mapping is unmapped."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    lab.touch(mapping)

    @lab.task
    def munmap() -> None:
        lab.munmap(mapping, size=PMD // 2)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def unaligned_mremap_vs_disable(lab: Lab) -> None:
    """Memory is turned off while a filled mapping moves to where no large leaf fits."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    lab.touch(mapping)

    @lab.task
    def vmm() -> None:
        lab.mremap(mapping, new_address=FAR + PAGE_SIZE)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)
