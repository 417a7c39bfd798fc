"""Writes to config space by user space, as far as memory decoding goes.

Drawn after drivers/vfio/pci/vfio_pci_config.c.
"""

from pfnlab.kernel.locks import down_write
from pfnlab.kernel.pci import PCI_COMMAND_MEMORY, PCI_D3hot, pci_try_reset_function
from pfnlab.kernel.vfio import (
    VfioPciDevice,
    map_and_up_write_memory_lock,
    update_memory_enabled,
    zap_and_revoke,
)
from pfnlab.kernel.vfio_power import vfio_pci_set_power_state


def vfio_basic_config_write(vdev: VfioPciDevice, command: int) -> None:
    """PCI_COMMAND is written.

    Model: the virtual and the physical register change in one step, and a reset that came
    from elsewhere is not looked for.
    """
    enable = bool(command & PCI_COMMAND_MEMORY)
    if enable:
        down_write(vdev.memory_lock)
    else:
        zap_and_revoke(vdev)
    vdev.virt_command_memory = enable
    update_memory_enabled(vdev)
    map_and_up_write_memory_lock(vdev)


def vfio_pm_config_write(vdev: VfioPciDevice, state: int) -> None:
    """PCI_PM_CTRL is written: the state is PCI_D0 or PCI_D3hot."""
    vfio_lock_and_set_power_state(vdev, state)


def vfio_lock_and_set_power_state(vdev: VfioPciDevice, state: int) -> None:
    if state >= PCI_D3hot:
        zap_and_revoke(vdev)
    else:
        down_write(vdev.memory_lock)
    vfio_pci_set_power_state(vdev, state)
    map_and_up_write_memory_lock(vdev)


def vfio_exp_config_write(vdev: VfioPciDevice) -> None:
    """The FLR bit of the PCIe capability is written; that of AF does the same.

    What the reset returns is not looked at: with the device lock taken elsewhere nothing
    is reset, and whoever wrote the bit cannot tell.
    """
    zap_and_revoke(vdev)
    before = vdev.current_state
    pci_try_reset_function(vdev)
    if vdev.current_state != before:
        update_memory_enabled(vdev)
    map_and_up_write_memory_lock(vdev)
