"""The kernel itself faults the BAR in: for a DMA mapping of type1, and for a futex."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def map_dma(lab: Lab) -> None:
    """type1 maps a fresh BAR mapping for DMA."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    container = lab.iommu_container()

    @lab.task
    def type1() -> None:
        lab.map_dma(container, mapping)

    lab.always(*RULES)


@scenario
def map_dma_vs_disable(lab: Lab) -> None:
    """type1 maps a fresh BAR mapping for DMA while memory decoding is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    container = lab.iommu_container()

    @lab.task
    def type1() -> None:
        lab.map_dma(container, mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def map_dma_vs_disable_enable(lab: Lab) -> None:
    """type1 maps a fresh BAR mapping for DMA while memory decoding is turned off and on."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    container = lab.iommu_container()

    @lab.task
    def type1() -> None:
        lab.map_dma(container, mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


@scenario
def map_dma_vs_munmap(lab: Lab) -> None:
    """type1 maps a BAR mapping for DMA while another thread unmaps it."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    container = lab.iommu_container()

    @lab.task
    def type1() -> None:
        lab.map_dma(container, mapping)

    @lab.task
    def munmap() -> None:
        lab.munmap(mapping)

    lab.always(*RULES)


@scenario
def futex_on_bar(lab: Lab) -> None:
    """A futex lies in the BAR, and its fault must not drop mmap_lock; memory is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)

    @lab.task
    def waker() -> None:
        lab.futex_wake_op(mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)
