"""Memory types: who has them reserved while a BAR is mapped, zapped in part, and mapped again."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import PAGE_SIZE, Lab, zap_vma_ptes
from pfnlab.kernel.vma import find_vma
from pfnlab.rules import RULES


@scenario
def revoke_one_page(lab: Lab) -> None:
    """A vCPU touches a mapping, a driver takes one page back, the vCPU touches another."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        with mapping.mm.mmap_lock.read():
            vma = find_vma(mapping.mm, mapping.address)
            assert vma is not None
            zap_vma_ptes(vma, mapping.address + PAGE_SIZE, PAGE_SIZE)
        lab.touch(mapping)

    lab.always(*RULES)


@scenario
def touch_after_enable(lab: Lab) -> None:
    """A vCPU touches a mapping, turns memory off and on, and touches it again."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch_enabled(mapping)
        lab.write_command(vdev, memory=False)
        lab.write_command(vdev, memory=True)
        lab.touch_enabled(mapping)

    lab.always(*RULES)


@scenario
def map_vs_munmap_elsewhere(lab: Lab) -> None:
    """A process maps and touches a BAR while another process unmaps it."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    other = lab.process()

    @lab.task
    def vmm() -> None:
        lab.touch(lab.mmap(vdev, mm=other))

    @lab.task
    def munmap() -> None:
        lab.touch(mapping)
        lab.munmap(mapping)

    lab.always(*RULES)


@scenario
def write_combining_bar(lab: Lab) -> None:
    """A vCPU touches a BAR that its driver has mapped write-combining for itself."""
    vdev = lab.vfio_device(memtype="WC")
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    lab.always(*RULES)
