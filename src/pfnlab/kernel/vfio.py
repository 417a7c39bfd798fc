"""A vfio-pci device: BARs, memory_lock, and whether memory decodes.

Drawn after drivers/vfio/pci/vfio_pci_core.c.  Who changes that is in vfio_config.py,
vfio_power.py, vfio_reset.py and vfio_intrs.py; who reads and writes, in vfio_rdwr.py.
"""

from typing import Any

from pfnlab.engine.current import running_task
from pfnlab.engine.field import field
from pfnlab.engine.lists import shared_list
from pfnlab.engine.rwsem import rw_semaphore
from pfnlab.engine.step import violate
from pfnlab.engine.word import word
from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.file import File
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, pages
from pfnlab.kernel.locks import down_write, lockdep_assert_held, up_write
from pfnlab.kernel.pci import PCI_D0, PCI_D3hot, PciDev
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vfio_pci_dmabuf import vfio_pci_dma_buf_cleanup, vfio_pci_dma_buf_move
from pfnlab.kernel.vma import VM_SHARED, AddressSpace, Vma, held_for

VFIO_PCI_OFFSET_SHIFT = 40
VFIO_PCI_BAR0_REGION_INDEX = 0
VFIO_PCI_ROM_REGION_INDEX = 6

COMMAND_UNDER_MEMORY_LOCK = contract(
    "D2",
    "command_written_under_memory_lock",
    "What decides if memory decodes is written only while memory_lock is held for write.",
    'vfio_pci_config.c: vfio_basic_config_write(); abafbc551fdd "vfio-pci: Invalidate mmaps '
    'and block MMIO access on disabled memory", v5.8',
)


def VFIO_PCI_INDEX_TO_OFFSET(index: int) -> int:
    """The place of a region in the device file, in bytes."""
    return index << VFIO_PCI_OFFSET_SHIFT


class VfioPciDevice(PciDev):
    """struct vfio_pci_core_device, and its pci_dev.

    memory_enabled is what a fault handler asks under memory_lock: no low power, and
    __vfio_pci_memory_enabled().  Whoever changes either calls update_memory_enabled().
    """

    memory_lock = rw_semaphore()
    memory_enabled = field(True, guarded_by="memory_lock", watched=True)
    virt_command_memory = field(True, guarded_by="memory_lock", traced=False)  # vconfig
    pm_runtime_engaged = field(False, guarded_by="memory_lock", watched=True)
    forced_memory = word(False)  # the driver has COMMAND.MEM on for itself
    dmabufs = shared_list(guarded_by="memory_lock", traced=False)  # VfioPciDmaBufs
    bus_accesses = word(0)  # reads and writes of the driver that are on the bus now
    dev_set = field[Any](None, traced=False)  # a VfioDeviceSet, from the setup on

    def __init__(
        self,
        name: str,
        bars: tuple[tuple[int, int], ...],
        design: Any,
        is_virtfn: bool = False,
    ) -> None:
        self.name = name
        self.bars = bars  # (physical address, size in bytes) of BAR0, BAR1, ...
        self.design = design  # a Design
        self.no_command_memory = is_virtfn  # the PF's SR-IOV capability has the bit
        self.mapping = AddressSpace(f"{name}.mapping")
        self.file = File(f"{name}.file", self.mapping, vfio_device_fops_release, self)

    def bar_pfn(self, pgoff: int) -> int:
        """The pfn at a page of the device file; the region is in its upper bits."""
        shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT
        address, _size = self.bars[pgoff >> shift]
        return (address >> PAGE_SHIFT) + (pgoff & (1 << shift) - 1)

    def shows(self, pfn: int, count: int) -> bool:
        """Whether any of `count` pages from pfn on lies in a BAR."""
        return any(
            pfn < (address >> PAGE_SHIFT) + pages(size) and pfn + count > address >> PAGE_SHIFT
            for address, size in self.bars
        )


def vfio_device_fops_release(file: File) -> None:
    """->release of the device file: the last fd and the last VMA are gone."""
    vdev = file.private_data
    if vdev.dev_set is None:
        vfio_pci_core_close_device(vdev)
        return
    with vdev.dev_set.lock:
        vfio_pci_core_close_device(vdev)


def is_aligned_for_order(vma: Vma, addr: int, pfn: int, order: int) -> bool:
    """Whether a leaf of this order at addr lies in the VMA and maps what it should.

    09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn"), v6.13, and
    c1d9dac0db16 ("vfio/pci: Align huge faults to order"), v6.15; a function of its own since.
    """
    return bool(
        order == 0
        or (
            vma.vm_start <= addr
            and addr + (PAGE_SIZE << order) <= vma.vm_end
            and pfn % (1 << order) == 0
        )
    )


def vfio_pci_core_mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    """->mmap of the device file: check the window, then let the design set the VMA up.

    Model: every BAR that the device has can be mapped; its size is a multiple of a page.
    """
    pgoff = vma.vm_pgoff
    shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT
    index, first = pgoff >> shift, pgoff & (1 << shift) - 1
    if not vma.vm_flags & VM_SHARED:
        return -EINVAL
    if index >= min(len(vdev.bars), VFIO_PCI_ROM_REGION_INDEX):
        return -EINVAL
    if first + pages(vma.size) > pages(vdev.bars[index][1]):
        return -EINVAL
    vma.vm_private_data = vdev
    vma.vm_ops = vdev.design.vm_ops
    vma.first_pfn = vdev.bar_pfn(pgoff)
    error: Errno = vdev.design.mmap(vdev, vma)
    return error


def __vfio_pci_memory_enabled(vdev: VfioPciDevice) -> bool:
    """Whether the device decodes memory, as far as its user goes.  Needs memory_lock.

    A virtual function has no COMMAND.MEM of its own, so what is written to it is no matter.
    """
    return vdev.current_state < PCI_D3hot and (vdev.no_command_memory or vdev.virt_command_memory)


def update_memory_enabled(vdev: VfioPciDevice) -> None:
    """COMMAND.MEM, the power state or low power has changed.  Needs memory_lock for write."""
    if held_for(vdev.memory_lock) != "write":
        task = running_task()
        violate(COMMAND_UNDER_MEMORY_LOCK, f"{task.name} does not hold {vdev}.memory_lock.")
    vdev.memory_enabled = __vfio_pci_memory_enabled(vdev) and not vdev.pm_runtime_engaged


def zap_and_revoke(vdev: VfioPciDevice) -> None:
    """Memory is about to be switched off: nothing may map it, in any mm or by a dma-buf."""
    vdev.design.zap_and_down_write_memory_lock(vdev)
    vfio_pci_dma_buf_move(vdev, revoked=True)


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    """Let memory_lock go after a change; if memory decodes, the design may map again.

    Importers of dma-bufs may, whatever the design.
    """
    if __vfio_pci_memory_enabled(vdev):
        vfio_pci_dma_buf_move(vdev, revoked=False)
    hook = vdev.design.map_and_up_write_memory_lock
    if hook is not None and vdev.memory_enabled:
        hook(vdev)
    else:
        up_write(vdev.memory_lock)


def vfio_pci_core_close_device(vdev: VfioPciDevice) -> None:
    """The last reference to the device file is gone: the device is disabled.

    No zap, and COMMAND is written without memory_lock: every VMA has a reference, so there
    is none any more, and no handler either (D4).

    Model: without the reset that is tried here, interrupts and saved state.
    """
    if vdev.dev_set is not None:
        lockdep_assert_held(vdev.dev_set.lock)
    vfio_pci_dma_buf_cleanup(vdev)
    down_write(vdev.memory_lock)
    vdev.pm_runtime_engaged = False
    up_write(vdev.memory_lock)
    vdev.current_state = PCI_D0
    vdev.virt_command_memory = False
    vdev.memory_enabled = False
