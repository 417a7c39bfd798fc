"""A disable that waits for another device: for its fence, and for what it has mapped.

vfio_pci_dma_buf_move() of v6.19 waits without a limit, with memory_lock held for write.  Fences
are signalled in bounded time, so this is accepted; it is told as a note (L3).  An importer that
needs memory_lock to get there never does.
"""

from collections.abc import Callable

from pfnlab import Scenario, check
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.dma_buf import (
    DmaBuf,
    DmaBufAttachment,
    DmaBufAttachOps,
    DmaFence,
    dma_buf_dynamic_attach,
    dma_buf_map_attachment,
    dma_fence_signal,
    dma_resv_add_fence,
    dma_resv_lock,
    dma_resv_unlock,
)
from pfnlab.rules import RULES
from pfnlab.scenarios.dma_bufs import dma_buf_vs_disable
from tests.stories.story import told

RULE = "disable_waits_for_an_importer"


def forget(_attach: DmaBufAttachment) -> None:
    """The importer does nothing."""


def test_it_is_told_as_a_note_with_the_shortest_schedule() -> None:
    (note,) = check(dma_buf_vs_disable, design).notes

    assert (note.rule.name, note.rule.number) == (RULE, "L3")
    assert note.schedule == "driver:8,config:7"
    assert note.evidence == ("for a fence of vdev.dmabuf",)


def scenario_with(job: Callable[[Lab, Mapping, DmaBuf], None]) -> Scenario:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)
        dmabuf = lab.export_dma_buf(vdev)
        assert dmabuf is not None

        @lab.task
        def driver() -> None:
            job(lab, mapping, dmabuf)

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)

    return Scenario("job_vs_disable", "A job by a dma-buf while memory is turned off.", build)


def test_a_fence_that_needs_the_bar_makes_the_disable_wait_for_ever() -> None:
    def touch_before_the_signal(lab: Lab, mapping: Mapping, dmabuf: DmaBuf) -> None:
        fence = DmaFence("fence")
        dma_resv_lock(dmabuf.resv)
        dma_resv_add_fence(dmabuf.resv, fence)
        dma_resv_unlock(dmabuf.resv)
        lab.touch(mapping)
        dma_fence_signal(fence)

    told(scenario_with(touch_before_the_signal), design, "no_livelock", "driver:7,config:10")


def test_an_importer_that_never_unmaps_makes_it_wait_for_ever() -> None:
    def map_for_good(_lab: Lab, _mapping: Mapping, dmabuf: DmaBuf) -> None:
        _error, attach = dma_buf_dynamic_attach(dmabuf, DmaBufAttachOps(forget), None)
        if attach is not None:
            dma_resv_lock(dmabuf.resv)
            dma_buf_map_attachment(attach)
            dma_resv_unlock(dmabuf.resv)

    told(scenario_with(map_for_good), design, "no_livelock", "driver:7,config:11")
