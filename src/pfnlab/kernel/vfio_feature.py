"""VFIO_DEVICE_FEATURE_DMA_BUF: user space gets part of a BAR as a dma-buf.

Drawn after drivers/vfio/pci/vfio_pci_dmabuf.c, v7.3.
"""

from pfnlab.kernel.dma_buf import DmaBuf, dma_resv_lock, dma_resv_unlock
from pfnlab.kernel.errno import EINVAL, ENOTTY, Errno
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, pages
from pfnlab.kernel.gfp import GFP_KERNEL, might_alloc
from pfnlab.kernel.locks import down_write, up_write
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.vfio import (
    VFIO_PCI_INDEX_TO_OFFSET,
    VfioPciDevice,
    __vfio_pci_memory_enabled,
)
from pfnlab.kernel.vfio_pci_dmabuf import VfioPciDmaBuf


def vfio_pci_core_feature_dma_buf(
    vdev: VfioPciDevice, region_index: int, offset: int, length: int
) -> tuple[Errno, DmaBuf | None]:
    """(error, the dma-buf).  -ENOTTY before v6.19.

    Model: one range; the kernel takes a list of them.
    """
    if not running_kernel().dma_buf:
        return -ENOTTY, None
    size = vdev.bars[region_index][1] if region_index < len(vdev.bars) else 0
    if length <= 0 or (offset | length) % PAGE_SIZE or offset + length > size:
        return -EINVAL, None
    might_alloc(GFP_KERNEL)
    first = vdev.bar_pfn((VFIO_PCI_INDEX_TO_OFFSET(region_index) + offset) >> PAGE_SHIFT)
    priv = VfioPciDmaBuf(f"{vdev}.dmabuf", vdev, first, pages(length))
    down_write(vdev.memory_lock)
    dma_resv_lock(priv.dmabuf.resv)
    priv.revoked = not __vfio_pci_memory_enabled(vdev)
    vdev.dmabufs.append(priv)
    dma_resv_unlock(priv.dmabuf.resv)
    up_write(vdev.memory_lock)
    return 0, priv.dmabuf
