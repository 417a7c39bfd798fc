"""An importer that goes to the exporting device while it holds the dma_resv lock.

memory_lock comes before the dma_resv lock, as a revoke takes them in this order (R12;
vfio_pci_dmabuf.c, v6.19).
"""

from pfnlab import Scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.dma_buf import dma_resv_lock, dma_resv_unlock
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "documented_lock_order"


def build(lab: Lab) -> None:
    vdev = lab.vfio_device()
    dmabuf = lab.export_dma_buf(vdev)
    assert dmabuf is not None

    @lab.task
    def driver() -> None:
        dma_resv_lock(dmabuf.resv)
        lab.ioeventfd(vdev)
        with vdev.memory_lock.read():
            dma_resv_unlock(dmabuf.resv)

    lab.always(*RULES)


def test_memory_lock_is_taken_under_the_dma_resv_lock() -> None:
    under = Scenario("bar_read_under_dma_resv", "A driver reads a BAR.", build)

    finding = told(under, design, RULE, "driver:6")

    assert finding.violation.evidence[-1] == (
        "The order is VfioPciDevice.memory_lock > DmaResv.lock."
    )
