"""An importer that says it has unmapped a dma-buf, and has not.

The exporter cannot look into the tables of another device.  It waits for fences and for the
mapping to be given back, and takes the importer's word for the rest (R28); see the comment on
dma_buf_invalidate_mappings() in drivers/dma-buf/dma-buf.c, v7.3.
"""

from pfnlab import Scenario, check, explore
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.dma_buf import DmaBufAttachment, DmaBufAttachOps, dma_buf_unmap_attachment
from pfnlab.kernel.dma_buf_importer import importer_run_job
from pfnlab.rules import RULES
from pfnlab.scenarios.dma_bufs import dma_buf_vs_disable, dma_buf_vs_reset
from tests.stories.story import told

RULE = "no_import_while_memory_disabled"


def unmap_and_keep_the_entry(attach: DmaBufAttachment) -> None:
    dma_buf_unmap_attachment(attach)


def job_and_disable(ops: DmaBufAttachOps) -> Scenario:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        dmabuf = lab.export_dma_buf(vdev)
        importer = lab.dma_buf_importer(ops)

        @lab.task
        def driver() -> None:
            lab.run_job(importer, dmabuf)
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)

    return Scenario("job_and_disable", "A job by a dma-buf, and memory is turned off.", build)


def test_the_entry_outlives_the_disable() -> None:
    keeps = job_and_disable(DmaBufAttachOps(invalidate_mappings=unmap_and_keep_the_entry))

    finding = told(keeps, design, RULE, "driver:21")

    assert finding.violation.evidence == ("importer -> pfn 3800000..3800003",)


def test_an_importer_that_cannot_be_told_may_not_attach() -> None:
    seen: list[int] = []

    def build(lab: Lab) -> None:
        dmabuf = lab.export_dma_buf(lab.vfio_device())

        @lab.task
        def driver() -> None:
            for ops in (DmaBufAttachOps(), DmaBufAttachOps(unmap_and_keep_the_entry, False)):
                seen.append(importer_run_job(lab.dma_buf_importer(ops), dmabuf))

    check(Scenario("attach", "Two importers.", build), design)

    assert set(seen) == {-95}  # -EOPNOTSUPP


def test_one_that_clears_its_entry_first_holds() -> None:
    check(dma_buf_vs_disable, design)
    check(dma_buf_vs_reset, design)


def test_a_dma_buf_of_a_device_that_is_off_is_revoked_from_the_start() -> None:
    seen: list[int] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        lab.write_command(vdev, memory=False)
        dmabuf = lab.export_dma_buf(vdev)
        importer = lab.dma_buf_importer()

        @lab.task
        def driver() -> None:
            seen.append(lab.run_job(importer, dmabuf))
            lab.write_command(vdev, memory=True)
            seen.append(lab.run_job(importer, dmabuf))

    check(Scenario("export", "A dma-buf of a device that is off.", build), design)

    assert seen[-2:] == [-ENODEV, 0]


def test_before_v6_19_there_is_no_dma_buf() -> None:
    assert explore(dma_buf_vs_disable, design, kernel="v6.16").verdict == "ok"
