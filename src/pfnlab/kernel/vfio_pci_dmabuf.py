"""BARs as dma-bufs: other devices get at a BAR, and lose it when memory is switched off.

Drawn after drivers/vfio/pci/vfio_pci_dmabuf.c, v7.3.  Locks:

    memory_lock  >  dma_resv lock

A revoke tells the importers, waits for their fences, and then until each has given back what
it had mapped, all with memory_lock held for write.  So an importer that takes its time makes
a disable wait (L3).
"""

from typing import Any, Protocol

from pfnlab.engine.field import field
from pfnlab.engine.rwsem import RwSemaphore
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.engine.word import update, word
from pfnlab.kernel.dma_buf import (
    DmaBuf,
    DmaBufAttachment,
    DmaBufOps,
    dma_buf_attach_revocable,
    dma_buf_invalidate_mappings,
    dma_resv_assert_held,
    dma_resv_lock,
    dma_resv_unlock,
    dma_resv_wait_timeout,
)
from pfnlab.kernel.errno import ENODEV, EOPNOTSUPP, Errno
from pfnlab.kernel.locks import down_write, lockdep_assert_held_write, up_write
from pfnlab.kernel.profile import running_kernel


class Exporter(Protocol):
    """A VfioPciDevice, as far as its dma-bufs go."""

    memory_lock: Any
    dmabufs: Any


class VfioPciDmaBuf(Shared):
    """struct vfio_pci_dma_buf: one range of pages of a BAR.

    Model: kref and completion are one counter of mappings, and the wait ends when there is
    none; the kernel drops a reference of its own for the wait, and takes it again after it.
    """

    revoked = field(False, guarded_by="resv.lock", traced=False)
    mappings = word(0)
    waiters = word(0)  # not in the kernel: who waits for the mappings, for rules

    def __init__(self, name: str, vdev: Any, pfn: int, pages: int) -> None:
        self.name = f"{name}.priv"
        self.vdev = vdev
        self.pfn = pfn
        self.pages = pages
        self.dmabuf = DmaBuf(name, VFIO_PCI_DMABUF_OPS, self)


def vfio_pci_dma_buf_attach(dmabuf: DmaBuf, attachment: DmaBufAttachment) -> Errno:
    """Only for who reaches a BAR directly, and can be told to let go of it (R28).

    Model: the kernel looks at `revoked` without a lock here, as map_dma_buf() looks again.
    """
    priv: VfioPciDmaBuf = dmabuf.priv
    if not attachment.importer_ops.allow_peer2peer:
        return -EOPNOTSUPP
    dma_resv_lock(dmabuf.resv)
    revoked = priv.revoked
    dma_resv_unlock(dmabuf.resv)
    if revoked:
        return -ENODEV
    return 0 if dma_buf_attach_revocable(attachment) else -EOPNOTSUPP


def vfio_pci_dma_buf_map(attachment: DmaBufAttachment) -> tuple[Errno, VfioPciDmaBuf | None]:
    priv: VfioPciDmaBuf = attachment.dmabuf.priv
    dma_resv_assert_held(attachment.dmabuf.resv)
    if priv.revoked:
        return -ENODEV, None
    update(priv, "mappings", lambda count: count + 1)
    return 0, priv


def vfio_pci_dma_buf_unmap(attachment: DmaBufAttachment) -> None:
    dma_resv_assert_held(attachment.dmabuf.resv)
    update(attachment.dmabuf.priv, "mappings", lambda count: count - 1)


VFIO_PCI_DMABUF_OPS = DmaBufOps(
    vfio_pci_dma_buf_attach, vfio_pci_dma_buf_map, vfio_pci_dma_buf_unmap
)


def vfio_pci_dma_buf_move(vdev: Exporter, revoked: bool) -> None:
    """Take every dma-buf of a device back, or give it out again.  Needs memory_lock for write.

    Model: to give it out again takes one hold of the dma_resv lock, not two.
    """
    if not running_kernel().dma_buf:
        return
    memory_lock: RwSemaphore = vdev.memory_lock
    lockdep_assert_held_write(memory_lock)
    for priv in vdev.dmabufs:
        if priv.revoked == revoked:
            continue
        resv = priv.dmabuf.resv
        dma_resv_lock(resv)
        if revoked:
            # Before the importers are told: whoever tries to map from now on is refused.
            priv.revoked = True
        dma_buf_invalidate_mappings(priv.dmabuf)
        dma_resv_wait_timeout(resv)
        if not revoked:
            priv.revoked = False
        dma_resv_unlock(resv)
        if revoked:
            wait_for_unmap(priv)


def wait_for_unmap(priv: VfioPciDmaBuf) -> None:
    """kref_put(), wait_for_completion(): until every importer has given its mapping back."""
    if priv.mappings:
        priv.waiters = 1
        begin_trying()
        while priv.mappings:
            try_again()
        done_trying()
        priv.waiters = 0


def vfio_pci_dma_buf_cleanup(vdev: Exporter) -> None:
    """The device is closed: its dma-bufs stay revoked for good."""
    if running_kernel().dma_buf:
        down_write(vdev.memory_lock)
        vfio_pci_dma_buf_move(vdev, revoked=True)
        for priv in vdev.dmabufs:
            vdev.dmabufs.remove(priv)
        up_write(vdev.memory_lock)
