"""A vfio-pci device: BARs, memory_lock and the COMMAND register.

Drawn after drivers/vfio/pci/vfio_pci_core.c and vfio_pci_config.c.
"""

from typing import Any

from pfnlab.engine.execution import running
from pfnlab.engine.field import field
from pfnlab.engine.rwsem import rw_semaphore
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import violate
from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, pages
from pfnlab.kernel.locks import down_write, up_write
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import AddressSpace, Vma

VFIO_PCI_OFFSET_SHIFT = 40
VFIO_PCI_BAR0_REGION_INDEX = 0
VFIO_PCI_ROM_REGION_INDEX = 6
PCI_COMMAND_MEMORY = 0x2

COMMAND_UNDER_MEMORY_LOCK = contract(
    "D2",
    "command_written_under_memory_lock",
    "PCI_COMMAND is written only while memory_lock is held for write.",
    'vfio_pci_config.c: vfio_basic_config_write(); abafbc551fdd "vfio-pci: Invalidate mmaps '
    'and block MMIO access on disabled memory", v5.8',
)


def VFIO_PCI_INDEX_TO_OFFSET(index: int) -> int:
    """The place of a region in the device file, in bytes."""
    return index << VFIO_PCI_OFFSET_SHIFT


class VfioPciDevice(Shared):
    """struct vfio_pci_core_device."""

    memory_lock = rw_semaphore()
    memory_enabled = field(True, guarded_by="memory_lock", watched=True)

    def __init__(self, name: str, bars: tuple[tuple[int, int], ...], design: Any) -> None:
        self.name = name
        self.bars = bars  # (physical address, size in bytes) of BAR0, BAR1, ...
        self.design = design  # a Design
        self.mapping = AddressSpace(f"{name}.mapping")

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


def is_aligned_for_order(vma: Vma, addr: int, pfn: int, order: int) -> bool:
    """Whether a leaf of this order at addr lies in the VMA and maps what it should.

    09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn"), v6.13, as a
    function of its own since.
    """
    return bool(
        order == 0
        or (
            vma.vm_start <= addr
            and addr + (PAGE_SIZE << order) <= vma.vm_end
            and pfn % (1 << order) == 0
        )
    )


def pgprot_noncached(_prot: str) -> str:
    """The same protection, uncached: UC- on x86."""
    return "UC-"


def vfio_pci_core_mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    """->mmap of the device file: check the window, then let the design set the VMA up."""
    pgoff = vma.vm_pgoff
    shift = VFIO_PCI_OFFSET_SHIFT - PAGE_SHIFT
    index, first = pgoff >> shift, pgoff & (1 << shift) - 1
    if index >= len(vdev.bars):
        return -EINVAL
    if first + pages(vma.size) > pages(vdev.bars[index][1]):
        return -EINVAL
    vma.vm_private_data = vdev
    vma.vm_ops = vdev.design.vm_ops
    vma.first_pfn = vdev.bar_pfn(pgoff)
    error: Errno = vdev.design.mmap(vdev, vma)
    return error


def vfio_basic_config_write(vdev: VfioPciDevice, command: int) -> None:
    """A write of PCI_COMMAND by user space, as far as memory decoding goes.

    Model: the virtual and the physical register change in one step.
    """
    enable = bool(command & PCI_COMMAND_MEMORY)
    if enable:
        down_write(vdev.memory_lock)
    else:
        vdev.design.zap_and_down_write_memory_lock(vdev)
    _execution, task = running()
    hold = task.holds(vdev.memory_lock)
    if hold is None or hold.mode != "write":
        violate(COMMAND_UNDER_MEMORY_LOCK, f"{task.name} does not hold {vdev}.memory_lock.")
    vdev.memory_enabled = enable
    up_write(vdev.memory_lock)
