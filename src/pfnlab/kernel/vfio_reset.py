"""Resets of one device and of a device set.

Drawn after drivers/vfio/pci/vfio_pci_core.c.
"""

from pfnlab.engine.errors import ModelError
from pfnlab.engine.mutex import mutex
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import violate
from pfnlab.kernel.errno import EBUSY, Errno
from pfnlab.kernel.locks import mutex_lock, mutex_unlock
from pfnlab.kernel.pci import (
    PCI_D0,
    PciBus,
    PciDev,
    pci_reset_bus,
    pci_try_reset_function,
    pci_walk_bus,
)
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.rule import contract
from pfnlab.kernel.uaccess import copy_to_user
from pfnlab.kernel.vfio import VfioPciDevice, map_and_up_write_memory_lock
from pfnlab.kernel.vfio_pci_dmabuf import vfio_pci_dma_buf_move
from pfnlab.kernel.vfio_power import vfio_pci_set_power_state
from pfnlab.kernel.vma import Mm, held_for

BUS_RESET_UNDER_EVERY_LOCK = contract(
    "D3",
    "bus_reset_under_every_memory_lock",
    "A bus is reset while memory_lock of one of its devices is not held for write.",
    "vfio_pci_core.c: vfio_pci_dev_set_hot_reset(), v6.12",
)


class VfioDeviceSet(Shared):
    """struct vfio_device_set: devices that are reset together, here those of one bus."""

    lock = mutex()

    def __init__(self, name: str, device_list: tuple[VfioPciDevice, ...]) -> None:
        self.name = name
        self.device_list = device_list
        self.bus = PciBus(f"{name}.bus", device_list)


def vfio_pci_ioctl_reset(vdev: VfioPciDevice) -> Errno:
    """VFIO_DEVICE_RESET.  -EAGAIN if the device lock is taken; the device is in D0 even so."""
    vdev.design.zap_and_down_write_memory_lock(vdev)
    vfio_pci_set_power_state(vdev, PCI_D0)
    vfio_pci_dma_buf_move(vdev, revoked=True)
    error = pci_try_reset_function(vdev)
    map_and_up_write_memory_lock(vdev)
    return error


def vfio_pci_ioctl_pci_hot_reset(vdev: VfioPciDevice) -> Errno:
    """VFIO_DEVICE_PCI_HOT_RESET.

    Model: the user owns every device of the set, and none is suspended.
    """
    return vfio_pci_dev_set_hot_reset(dev_set_of(vdev))


def vfio_pci_dev_set_hot_reset(dev_set: VfioDeviceSet) -> Errno:
    """Reset all devices of a set.

    Each memory_lock is only tried: a fault on one device may hold mmap_lock, which the zap
    of another wants.  -EBUSY if one cannot be had; what was locked by then is let go.

    Model: up to v6.9 every vma_lock is taken first, and every memory_lock after that; here
    a device gets both before the next one is tried.  Dma-bufs are revoked after the zap, and
    in the kernel before it; both with memory_lock held.
    """
    locked = []
    mutex_lock(dev_set.lock)
    for vdev in dev_set.device_list:
        if not zap_and_trylock_memory_lock(vdev):
            break
        vfio_pci_dma_buf_move(vdev, revoked=True)
        locked.append(vdev)
    error = -EBUSY
    if len(locked) == len(dev_set.device_list):
        for vdev in locked:
            if held_for(vdev.memory_lock) != "write":
                violate(BUS_RESET_UNDER_EVERY_LOCK, f"{vdev}.memory_lock is not held for write.")
            vfio_pci_set_power_state(vdev, PCI_D0)
        error = pci_reset_bus(dev_set.bus)
    for vdev in reversed(locked):
        map_and_up_write_memory_lock(vdev)
    mutex_unlock(dev_set.lock)
    return error


def zap_and_trylock_memory_lock(vdev: VfioPciDevice) -> bool:
    """The design's way to have memory_lock for write and no leaf left, without waiting."""
    hook = vdev.design.zap_and_trylock_memory_lock
    if hook is None:
        raise ModelError(
            f"design {vdev.design.name} has no zap_and_trylock_memory_lock, which a hot reset "
            "needs; give Design(...) zap_and_trylock_memory_lock=, a function of (vdev) that "
            "returns whether it got memory_lock"
        )
    taken = hook(vdev)
    if not isinstance(taken, bool):
        raise ModelError(
            f"zap_and_trylock_memory_lock of {vdev.design.name} returned {taken!r}; return True "
            "or False"
        )
    return taken


def vfio_pci_ioctl_get_pci_hot_reset_info(vdev: VfioPciDevice, mm: Mm) -> Errno:
    """VFIO_DEVICE_GET_PCI_HOT_RESET_INFO: user space learns which devices a reset reaches.

    In v6.9 each device was copied to user space from within the walk of the bus.
    """
    dev_set = dev_set_of(vdev)
    in_walk = running_kernel().hot_reset_info_in_walk

    def vfio_pci_fill_devs(_pdev: PciDev) -> None:
        if in_walk:
            copy_to_user(mm)

    mutex_lock(dev_set.lock)
    pci_walk_bus(dev_set.bus, vfio_pci_fill_devs)
    mutex_unlock(dev_set.lock)
    if not in_walk:
        copy_to_user(mm)
    return 0


def dev_set_of(vdev: VfioPciDevice) -> VfioDeviceSet:
    dev_set = vdev.dev_set
    if not isinstance(dev_set, VfioDeviceSet):
        raise ModelError(f"{vdev} is in no device set; make one with lab.device_set({vdev}, ...)")
    return dev_set
