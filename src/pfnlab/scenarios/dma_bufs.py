"""Another device imports a BAR as a dma-buf.  Before v6.19 there is none to import."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES


@scenario
def dma_buf_vs_disable(lab: Lab) -> None:
    """Another device does DMA to the BAR by a dma-buf while memory is turned off and on."""
    vdev = lab.vfio_device()
    dmabuf = lab.export_dma_buf(vdev)
    importer = lab.dma_buf_importer()

    @lab.task
    def driver() -> None:
        lab.run_job(importer, dmabuf)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


@scenario
def dma_buf_vs_reset(lab: Lab) -> None:
    """Another device does DMA to the BAR by a dma-buf while the device is reset."""
    vdev = lab.vfio_device()
    dmabuf = lab.export_dma_buf(vdev)
    importer = lab.dma_buf_importer()

    @lab.task
    def driver() -> None:
        lab.run_job(importer, dmabuf)

    @lab.task
    def vmm() -> None:
        lab.reset(vdev)

    lab.always(*RULES)
