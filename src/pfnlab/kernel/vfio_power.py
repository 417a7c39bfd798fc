"""Power states, and the low power feature of a vfio-pci device.

Drawn after drivers/vfio/pci/vfio_pci_core.c.

Model: low power came with v6.1, and is there on every kernel here.  The device suspends
as soon as it is allowed to, and a system call on its file does not wake it;
vfio_pci_core_runtime_suspend() only returns it to D0.
"""

from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.locks import down_write, lockdep_assert_held_write, up_write
from pfnlab.kernel.pci import PCI_D0
from pfnlab.kernel.vfio import (
    VfioPciDevice,
    map_and_up_write_memory_lock,
    update_memory_enabled,
    zap_and_revoke,
)


def vfio_pci_set_power_state(vdev: VfioPciDevice, state: int) -> None:
    """Change the power state.  Needs memory_lock for write, and leaves zapped for D3hot."""
    if state > PCI_D0:
        lockdep_assert_held_write(vdev.memory_lock)
    if vdev.current_state != state:
        vdev.current_state = state
        update_memory_enabled(vdev)


def vfio_pci_core_pm_entry(vdev: VfioPciDevice) -> Errno:
    """VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY: the device may suspend when this returns."""
    zap_and_revoke(vdev)
    if vdev.pm_runtime_engaged:
        up_write(vdev.memory_lock)
        return -EINVAL
    vdev.pm_runtime_engaged = True
    update_memory_enabled(vdev)
    up_write(vdev.memory_lock)
    return 0


def vfio_pci_core_pm_exit(vdev: VfioPciDevice) -> Errno:
    """VFIO_DEVICE_FEATURE_LOW_POWER_EXIT; no error if the device is awake."""
    down_write(vdev.memory_lock)
    if vdev.pm_runtime_engaged:
        vdev.pm_runtime_engaged = False
        update_memory_enabled(vdev)
    map_and_up_write_memory_lock(vdev)
    return 0
