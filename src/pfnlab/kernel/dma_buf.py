"""dma-buf: a buffer that one driver exports and others import, with its lock and its fences.

Drawn after drivers/dma-buf/dma-buf.c, dma-resv.c and dma-fence.c.  Locks:

    dma_resv lock  >  fs_reclaim

Model: the lock is a mutex; in the kernel several are taken at once by wound and wait.  A
fence is a word, without callbacks, and all of a buffer are of one usage.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pfnlab.engine.lists import shared_list
from pfnlab.engine.mutex import mutex
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.engine.word import word
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.gfp import GFP_KERNEL, might_alloc
from pfnlab.kernel.locks import lockdep_assert_held, mutex_lock, mutex_unlock


class DmaFence(Shared):
    """struct dma_fence: work of a device that has not ended yet, and will by itself."""

    signaled = word(False)

    def __init__(self, name: str) -> None:
        self.name = name


class DmaResv(Shared):
    """struct dma_resv."""

    lock = mutex()
    fences = shared_list(guarded_by="lock", traced=False)
    waiters = word(0)  # not in the kernel: who waits for the fences, for rules

    def __init__(self, name: str) -> None:
        self.name = name


@dataclass(frozen=True)
class DmaBufOps:
    """struct dma_buf_ops: what the exporter does.  All but attach under the dma_resv lock."""

    attach: Callable[["DmaBuf", "DmaBufAttachment"], Errno]
    map_dma_buf: Callable[["DmaBufAttachment"], tuple[Errno, Any]]
    unmap_dma_buf: Callable[["DmaBufAttachment"], None]


@dataclass(frozen=True)
class DmaBufAttachOps:
    """struct dma_buf_attach_ops: what the importer does.

    invalidate_mappings(attach), move_notify() up to v6.19: under the dma_resv lock; what was
    mapped may be used no longer than to the last fence.
    """

    invalidate_mappings: Callable[["DmaBufAttachment"], None] | None = None
    allow_peer2peer: bool = True


class DmaBuf(Shared):
    """struct dma_buf.

    Model: nobody closes the file, so get_file_active() never fails.
    """

    attachments = shared_list(guarded_by="lock", traced=False)

    def __init__(self, name: str, ops: DmaBufOps, priv: Any) -> None:
        self.name = name
        self.ops = ops
        self.priv = priv
        self.resv = DmaResv(f"{name}.resv")


class DmaBufAttachment(Shared):
    """struct dma_buf_attachment."""

    def __init__(self, dmabuf: DmaBuf, importer_ops: DmaBufAttachOps, importer_priv: Any) -> None:
        self.dmabuf = dmabuf
        self.importer_ops = importer_ops
        self.importer_priv = importer_priv
        self.name = f"{dmabuf}.attachment"


def dma_resv_lock(obj: DmaResv) -> None:
    mutex_lock(obj.lock)


def dma_resv_unlock(obj: DmaResv) -> None:
    mutex_unlock(obj.lock)


def dma_resv_assert_held(obj: DmaResv) -> None:
    lockdep_assert_held(obj.lock)


def dma_resv_add_fence(obj: DmaResv, fence: DmaFence) -> None:
    """Who waits for the buffer waits for this, too.  Needs the lock."""
    dma_resv_assert_held(obj)
    obj.fences.append(fence)


def dma_resv_wait_timeout(obj: DmaResv) -> None:
    """Wait until every fence has been signalled.

    Model: with MAX_SCHEDULE_TIMEOUT only, and no signal ends the wait.
    """
    for fence in obj.fences:
        if not fence.signaled:
            obj.waiters = 1
            begin_trying()
            while not fence.signaled:
                try_again()
            done_trying()
            obj.waiters = 0


def dma_fence_signal(fence: DmaFence) -> None:
    """The work has ended."""
    fence.signaled = True


def dma_buf_dynamic_attach(
    dmabuf: DmaBuf, importer_ops: DmaBufAttachOps, importer_priv: Any
) -> tuple[Errno, DmaBufAttachment | None]:
    """Become an importer: (error, the attachment)."""
    might_alloc(GFP_KERNEL)
    attach = DmaBufAttachment(dmabuf, importer_ops, importer_priv)
    error = dmabuf.ops.attach(dmabuf, attach)
    if error:
        return error, None
    dma_resv_lock(dmabuf.resv)
    dmabuf.attachments.append(attach)
    dma_resv_unlock(dmabuf.resv)
    return 0, attach


def dma_buf_attach_revocable(attach: DmaBufAttachment) -> bool:
    """Whether the importer can be told that its mappings are void."""
    return attach.importer_ops.invalidate_mappings is not None


def dma_buf_map_attachment(attach: DmaBufAttachment) -> tuple[Errno, Any]:
    """Learn where the buffer is: (error, what the exporter hands out)."""
    dma_resv_assert_held(attach.dmabuf.resv)
    return attach.dmabuf.ops.map_dma_buf(attach)


def dma_buf_unmap_attachment(attach: DmaBufAttachment) -> None:
    """Give it back."""
    dma_resv_assert_held(attach.dmabuf.resv)
    attach.dmabuf.ops.unmap_dma_buf(attach)


def dma_buf_invalidate_mappings(dmabuf: DmaBuf) -> None:
    """Tell every importer."""
    dma_resv_assert_held(dmabuf.resv)
    for attach in dmabuf.attachments:
        if attach.importer_ops.invalidate_mappings is not None:
            attach.importer_ops.invalidate_mappings(attach)
