"""A disable that revokes the dma-bufs of a device after it has let memory_lock go.

vfio_pci_dma_buf_move() asserts memory_lock held for write (vfio_pci_dmabuf.c, v6.19): else
memory is off, and another device still reaches the BAR.
"""

from pfnlab import Scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.vfio import update_memory_enabled
from pfnlab.kernel.vfio_pci_dmabuf import vfio_pci_dma_buf_move
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "lockdep_assert_held"


def build(lab: Lab) -> None:
    vdev = lab.vfio_device()
    dmabuf = lab.export_dma_buf(vdev)
    importer = lab.dma_buf_importer()

    @lab.task
    def driver() -> None:
        lab.run_job(importer, dmabuf)

    @lab.task
    def config() -> None:
        design.zap_and_down_write_memory_lock(vdev)
        vdev.virt_command_memory = False
        update_memory_enabled(vdev)
        up_write(vdev.memory_lock)
        vfio_pci_dma_buf_move(vdev, revoked=True)

    lab.always(*RULES)


late = Scenario("late_revoke", "A job by a dma-buf, and a disable that revokes too late.", build)


def test_the_revoke_asserts_memory_lock() -> None:
    told(late, design, RULE, "config:7")


def test_without_the_assertion_another_device_reaches_a_bar_that_is_off() -> None:
    told(late, design, "no_import_while_memory_disabled", "config:5,driver:7", alone=True)
