"""What a scenario may do with devices: make them, and the calls on their files."""

from pfnlab.engine.errors import ModelError
from pfnlab.kernel.design import Design
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.geometry import PAGE_SIZE, PMD_ORDER, PUD_ORDER
from pfnlab.kernel.lab_memory import Mapping, MemoryLab
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.type1 import DmaMap, VfioIommu, vfio_dma_do_map
from pfnlab.kernel.vfio import PCI_COMMAND_MEMORY, VfioPciDevice, vfio_basic_config_write

BAR_ADDRESS = 0x3800000000


class DeviceLab(MemoryLab):
    """The part of a Lab that has vfio-pci devices and containers."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.devices: list[VfioPciDevice] = []

    def vfio_device(self, *bar_sizes: int, bar_address: int = BAR_ADDRESS) -> VfioPciDevice:
        """A device with memory enabled.  BARs have sizes in bytes; the default is one PMD."""
        sizes = bar_sizes or (PAGE_SIZE << PMD_ORDER,)
        bars = []
        for size in sizes:
            if size <= 0 or size % PAGE_SIZE:
                raise ModelError(f"a BAR of {size} bytes; the size must be a multiple of 4 KiB")
            bars.append((bar_address, size))
            bar_address += max(size, PAGE_SIZE << PUD_ORDER)
        name = "vdev" if not self.devices else f"vdev{len(self.devices) + 1}"
        vdev = self.design.device(name, tuple(bars), self.design)
        self.devices.append(vdev)
        return vdev

    def iommu_container(self) -> VfioIommu:
        """A type1 container without mappings."""
        return VfioIommu("iommu")

    # ---- what user space does

    def write_command(self, vdev: VfioPciDevice, *, memory: bool) -> None:
        """Write PCI_COMMAND through config space."""
        vfio_basic_config_write(vdev, PCI_COMMAND_MEMORY if memory else 0)
        return_to_user_space()

    def map_dma(self, container: VfioIommu, mapping: Mapping) -> Errno:
        """Let devices of a container reach a mapping, at the same addresses: VFIO_IOMMU_MAP_DMA."""
        dma_map = DmaMap(vaddr=mapping.address, iova=mapping.address, size=mapping.size)
        return vfio_dma_do_map(container, mapping.mm, dma_map)
