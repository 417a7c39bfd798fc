"""Setting interrupts up, for which the driver needs memory on, whatever its user wants.

Drawn after drivers/vfio/pci/vfio_pci_intrs.c and vfio_pci_core.c.
"""

from pfnlab.kernel.locks import down_write, up_write
from pfnlab.kernel.pci import PCI_D0
from pfnlab.kernel.vfio import VfioPciDevice, __vfio_pci_memory_enabled
from pfnlab.kernel.vfio_rdwr import bus_access


def vfio_msi_enable(vdev: VfioPciDevice) -> None:
    """Allocate vectors of MSI-X, whose table lies in a BAR.

    Model: one access to the table; without igate, the eventfds and the handlers.
    """
    forced = vfio_pci_memory_lock_and_enable(vdev)
    if vdev.current_state == PCI_D0:  # else the PCI core leaves the table alone
        bus_access(vdev)
    vfio_pci_memory_unlock_and_restore(vdev, forced)


def vfio_pci_memory_lock_and_enable(vdev: VfioPciDevice) -> bool:
    """Switch memory on behind the user's back; whether that changed anything.

    memory_lock is held for write from before until it is off again, and the virtual
    register still says off: so no handler maps anything meanwhile, and the leaves that a
    disable has zapped stay gone.
    """
    down_write(vdev.memory_lock)
    forced = not (__vfio_pci_memory_enabled(vdev) or vdev.no_command_memory)
    if forced:
        vdev.forced_memory = True
    return forced


def vfio_pci_memory_unlock_and_restore(vdev: VfioPciDevice, forced: bool) -> None:
    if forced:
        vdev.forced_memory = False
    up_write(vdev.memory_lock)
