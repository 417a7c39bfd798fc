"""Reads and writes of a BAR that go through the driver, not through a mapping.

Drawn after drivers/vfio/pci/vfio_pci_rdwr.c.
"""

from pfnlab.engine.word import update
from pfnlab.kernel.errno import EINVAL, EIO
from pfnlab.kernel.locks import down_read, down_read_trylock, up_read
from pfnlab.kernel.uaccess import copy_from_user, copy_to_user
from pfnlab.kernel.vfio import VfioPciDevice, __vfio_pci_memory_enabled
from pfnlab.kernel.vma import Mm

WIDTH = 4  # bytes of one access


def vfio_pci_bar_rw(
    vdev: VfioPciDevice, mm: Mm, bar: int, offset: int, count: int, iswrite: bool
) -> int:
    """Read or write `count` bytes of a BAR; the buffer is in `mm`.

    Returns how many bytes were done, at most to the end of the BAR, or -EINVAL or -EIO.
    """
    if not 0 <= bar < len(vdev.bars) or offset >= vdev.bars[bar][1]:
        return -EINVAL
    return vfio_pci_core_do_io_rw(vdev, mm, min(count, vdev.bars[bar][1] - offset), iswrite)


def vfio_pci_core_do_io_rw(vdev: VfioPciDevice, mm: Mm, count: int, iswrite: bool) -> int:
    """One access after the other; user memory is copied while memory_lock is free.

    So memory may be switched off between two accesses: then -EIO, whatever is done by then.

    Model: accesses of 4 bytes at aligned offsets; no range is left out.
    """
    for _offset in range(0, count, WIDTH):
        if iswrite:
            copy_from_user(mm)
        if not vfio_pci_core_io(vdev):
            return -EIO
        if not iswrite:
            copy_to_user(mm)
    return count


def vfio_pci_core_io(vdev: VfioPciDevice) -> bool:
    """One access, vfio_pci_core_ioread32() or iowrite32(); False if memory is off."""
    down_read(vdev.memory_lock)
    enabled = __vfio_pci_memory_enabled(vdev)
    if enabled:
        bus_access(vdev)
    up_read(vdev.memory_lock)
    return enabled


def vfio_pci_ioeventfd_handler(vdev: VfioPciDevice) -> bool:
    """An eventfd is signalled whose meaning is a write to the BAR.

    Its caller must not sleep; so False if memory_lock is taken, and the worker goes on with
    vfio_pci_core_io(), which may.  With memory off the write is lost.
    """
    if not down_read_trylock(vdev.memory_lock):
        return False
    if __vfio_pci_memory_enabled(vdev):
        bus_access(vdev)
    up_read(vdev.memory_lock)
    return True


def bus_access(vdev: VfioPciDevice) -> None:
    """The CPU reads or writes the device; two steps, as the answer takes its time."""
    update(vdev, "bus_accesses", lambda count: count + 1)
    update(vdev, "bus_accesses", lambda count: count - 1)
