"""The PCI core below vfio-pci: the device lock, power states, resets, walks of a bus.

Drawn after drivers/pci/pci.c and drivers/pci/bus.c.
"""

from collections.abc import Callable

from pfnlab.engine.access import atomically
from pfnlab.engine.field import field
from pfnlab.engine.mutex import mutex
from pfnlab.engine.rwsem import rw_semaphore
from pfnlab.engine.shared import Shared
from pfnlab.engine.word import word
from pfnlab.kernel.errno import EAGAIN, Errno
from pfnlab.kernel.locks import down_read, mutex_trylock, mutex_unlock, up_read

PCI_D0, PCI_D3hot = 0, 3
PCI_COMMAND_MEMORY = 0x2


class PciDev(Shared):
    """struct pci_dev."""

    device_lock = mutex()  # dev.mutex: probe, remove, sysfs, resets
    current_state = field(PCI_D0, guarded_by="memory_lock", traced=False)
    in_reset = word(False)


class PciBus(Shared):
    """The devices that one bus reset reaches.

    Model: pci_bus_sem is one for all buses of a machine; here it is the bus's.
    """

    pci_bus_sem = rw_semaphore()

    def __init__(self, name: str, devices: tuple[PciDev, ...]) -> None:
        self.name = name
        self.devices = devices


def pci_dev_trylock(pdev: PciDev) -> bool:
    """The device lock, and nobody waits for it.

    Model: the block on config accesses, tried next, is taken to be free.
    """
    return mutex_trylock(pdev.device_lock)


def pci_dev_unlock(pdev: PciDev) -> None:
    mutex_unlock(pdev.device_lock)


def pci_try_reset_function(pdev: PciDev) -> Errno:
    """Reset one function; -EAGAIN if its lock is taken, and then nothing has happened.

    From the first write to COMMAND until the saved state is restored the device does not
    decode memory.  It is in D0 after it.
    """
    if not pci_dev_trylock(pdev):
        return -EAGAIN
    pdev.current_state = PCI_D0
    _set_in_reset((pdev,), True)
    _set_in_reset((pdev,), False)
    pci_dev_unlock(pdev)
    return 0


def pci_reset_bus(bus: PciBus) -> Errno:
    """Reset every device of a bus; -EAGAIN if the lock of one is taken.

    pci_bus_sem is taken while the bridge waits for what is behind it.

    Model: without the bridge's own lock.
    """
    locked = []
    for pdev in bus.devices:
        if not pci_dev_trylock(pdev):
            break
        locked.append(pdev)
    everyone = len(locked) == len(bus.devices)
    if everyone:
        _set_in_reset(bus.devices, True)
        down_read(bus.pci_bus_sem)
        up_read(bus.pci_bus_sem)
        _set_in_reset(bus.devices, False)
    for pdev in reversed(locked):
        pci_dev_unlock(pdev)
    return 0 if everyone else -EAGAIN


def pci_walk_bus(bus: PciBus, call: Callable[[PciDev], None]) -> None:
    """Call a function for every device, with pci_bus_sem held for read."""
    down_read(bus.pci_bus_sem)
    for pdev in bus.devices:
        call(pdev)
    up_read(bus.pci_bus_sem)


def _set_in_reset(devices: tuple[PciDev, ...], value: bool) -> None:
    """A bus reset begins, and ends, for all devices in one step."""
    names = ", ".join(pdev.name for pdev in devices)
    atomically(
        tuple(PciDev.in_reset.cell(pdev) for pdev in devices),
        "reset" if value else "restore",
        lambda old: ((value,) * len(old), None),
        detail=lambda _: names,
    )
