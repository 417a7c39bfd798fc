"""An importer: another device that reaches a BAR through a dma-buf.

Drawn after what the comments on dma_buf_invalidate_mappings() in drivers/dma-buf/dma-buf.c
and on struct dma_buf_attach_ops in include/linux/dma-buf.h demand of one; iommufd, the
first, has no fences.  A job of the device is a fence.

Model: an importer has one attachment and one job at a time, and its table is one word.
"""

from typing import Any

from pfnlab.engine.field import field
from pfnlab.engine.shared import Shared
from pfnlab.engine.word import word
from pfnlab.kernel.dma_buf import (
    DmaBuf,
    DmaBufAttachment,
    DmaBufAttachOps,
    DmaFence,
    dma_buf_dynamic_attach,
    dma_buf_map_attachment,
    dma_buf_unmap_attachment,
    dma_fence_signal,
    dma_resv_add_fence,
    dma_resv_lock,
    dma_resv_unlock,
)
from pfnlab.kernel.errno import EBADF, Errno


class Importer(Shared):
    """The driver of a device that does DMA to what it imports."""

    entry = word[Any](None)  # what its IOMMU maps: a VfioPciDmaBuf, or None
    busy = field(False, guarded_by="resv.lock", traced=False)  # a job has not been cleared away
    stale = field(False, guarded_by="resv.lock", traced=False)  # to be unmapped after the job

    def __init__(self, name: str, ops: DmaBufAttachOps) -> None:
        self.name = name
        self.ops = ops


def importer_run_job(importer: Importer, dmabuf: DmaBuf | None) -> Errno:
    """Attach, map, let the device work, and clear away.  -EBADF without a dma-buf."""
    if dmabuf is None:
        return -EBADF
    error, attach = dma_buf_dynamic_attach(dmabuf, importer.ops, importer)
    if attach is None:
        return error
    dma_resv_lock(dmabuf.resv)
    error, range_ = dma_buf_map_attachment(attach)
    if error:
        dma_resv_unlock(dmabuf.resv)
        return error
    importer.entry = range_
    fence = DmaFence(f"{importer}.fence")
    dma_resv_add_fence(dmabuf.resv, fence)
    importer.busy = True
    dma_resv_unlock(dmabuf.resv)
    dma_fence_signal(fence)  # by the device, when it is done
    dma_resv_lock(dmabuf.resv)
    importer.busy = False
    if importer.stale:
        importer_unmap(importer, attach)
    dma_resv_unlock(dmabuf.resv)
    return 0


def importer_invalidate_mappings(attach: DmaBufAttachment) -> None:
    """Unmap now if the device is idle, or else when its job is over.  Under the dma_resv lock."""
    importer: Importer = attach.importer_priv
    if importer.busy:
        importer.stale = True
    elif importer.entry is not None:
        importer_unmap(importer, attach)


def importer_unmap(importer: Importer, attach: DmaBufAttachment) -> None:
    """First the table of the device, then the mapping: the exporter takes its word for it."""
    importer.entry = None
    dma_buf_unmap_attachment(attach)


IMPORTER_OPS = DmaBufAttachOps(invalidate_mappings=importer_invalidate_mappings)
