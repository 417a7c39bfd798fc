"""What a scenario may do with devices: make them, and the calls on their files."""

from pfnlab.engine.current import setting_up
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.bars import place_bars
from pfnlab.kernel.design import Design
from pfnlab.kernel.dma_buf import DmaBuf, DmaBufAttachOps
from pfnlab.kernel.dma_buf_importer import IMPORTER_OPS, Importer, importer_run_job
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.geometry import PAGE_SIZE, PMD_ORDER
from pfnlab.kernel.kvm import Kvm, kvm_create_vm, kvm_vcpu_run
from pfnlab.kernel.lab_memory import Mapping, MemoryLab
from pfnlab.kernel.locks import mutex_lock, mutex_unlock, return_to_user_space
from pfnlab.kernel.memtype import MemtypeStore, ioremap
from pfnlab.kernel.pci import PCI_COMMAND_MEMORY, PCI_D0, PCI_D3hot
from pfnlab.kernel.type1 import DmaMap, VfioIommu, vfio_dma_do_map, vfio_dma_do_unmap
from pfnlab.kernel.vfio import VfioPciDevice
from pfnlab.kernel.vfio_config import (
    vfio_basic_config_write,
    vfio_exp_config_write,
    vfio_pm_config_write,
)
from pfnlab.kernel.vfio_feature import vfio_pci_core_feature_dma_buf
from pfnlab.kernel.vfio_intrs import vfio_msi_enable
from pfnlab.kernel.vfio_power import vfio_pci_core_pm_entry, vfio_pci_core_pm_exit
from pfnlab.kernel.vfio_rdwr import (
    WIDTH,
    vfio_pci_bar_rw,
    vfio_pci_core_io,
    vfio_pci_ioeventfd_handler,
)
from pfnlab.kernel.vfio_reset import (
    VfioDeviceSet,
    vfio_pci_ioctl_get_pci_hot_reset_info,
    vfio_pci_ioctl_pci_hot_reset,
    vfio_pci_ioctl_reset,
)
from pfnlab.kernel.vma import Mm

POWER_STATES = {"D0": PCI_D0, "D3hot": PCI_D3hot}


class DeviceLab(MemoryLab):
    """The part of a Lab that has vfio-pci devices and containers."""

    def __init__(self, design: Design) -> None:
        super().__init__()
        self.design = design
        self.devices: list[VfioPciDevice] = []
        self.memtypes: MemtypeStore | None = None
        self._device_sets = 0
        self.containers: list[VfioIommu] = []
        self.vms: list[Kvm] = []
        self.importers: list[Importer] = []
        self.dmabufs: list[DmaBuf] = []

    def vfio_device(
        self,
        *bar_sizes: int,
        bar_address: int | None = None,
        is_virtfn: bool = False,
        memtype: str | None = "UC-",
    ) -> VfioPciDevice:
        """A device with memory enabled.  BARs have sizes in bytes; the default is one PMD.

        Without bar_address= the BARs lie behind those of the devices before.  Each is
        aligned to its size, as PCI has it, and overlaps no other.  The driver maps its BARs
        for itself, as vfio-pci does, and so reserves `memtype` for them; None is for a driver
        that does not.
        """
        if not setting_up():
            raise ModelError("lab.vfio_device() is called by a task: make it before they begin")
        if self.memtypes is None:
            self.memtypes = MemtypeStore()
        sizes = bar_sizes or (PAGE_SIZE << PMD_ORDER,)
        bars = place_bars(sizes, bar_address, [vdev.bars for vdev in self.devices])
        if memtype is not None:
            for address, size in bars:
                ioremap(address, size, memtype)
        name = "vdev" if not self.devices else f"vdev{len(self.devices) + 1}"
        vdev = self.design.device(name, bars, self.design, is_virtfn)
        self.devices.append(vdev)
        return vdev

    def device_set(self, *devices: VfioPciDevice) -> VfioDeviceSet:
        """Devices that can only be reset together; for the setup."""
        self._device_sets += 1
        number = self._device_sets if self._device_sets > 1 else ""
        dev_set = VfioDeviceSet(f"dev_set{number}", devices)
        for vdev in devices:
            vdev.dev_set = dev_set
        return dev_set

    def iommu_container(self) -> VfioIommu:
        """A type1 container without mappings.  Rules see those that are there from the start."""
        container = VfioIommu("iommu")
        if setting_up():
            self.containers.append(container)
        return container

    def vm(self, mapping: Mapping) -> Kvm:
        """A VM with a mapping as its memory, at the same addresses.  As for rules, see above."""
        end = mapping.address + mapping.size
        vm = kvm_create_vm(f"vm{len(self.vms) + 1}", mapping.mm, mapping.address, end)
        if setting_up():
            self.vms.append(vm)
        return vm

    def dma_buf_importer(self, ops: DmaBufAttachOps = IMPORTER_OPS) -> Importer:
        """Another device, which can do DMA to what it imports.  As for rules, see above."""
        importer = Importer(f"importer{len(self.importers) or ''}", ops)
        if setting_up():
            self.importers.append(importer)
        return importer

    # ---- what user space does

    def write_command(self, vdev: VfioPciDevice, *, memory: bool) -> None:
        """Write PCI_COMMAND through config space."""
        vfio_basic_config_write(vdev, PCI_COMMAND_MEMORY if memory else 0)
        return_to_user_space()

    def set_power_state(self, vdev: VfioPciDevice, state: str) -> None:
        """Write the power state, "D0" or "D3hot", through config space."""
        if state not in POWER_STATES:
            raise ModelError(f"no power state {state!r}; there are {', '.join(POWER_STATES)}")
        vfio_pm_config_write(vdev, POWER_STATES[state])
        return_to_user_space()

    def flr(self, vdev: VfioPciDevice) -> None:
        """Write the bit for a function level reset through config space; no answer."""
        vfio_exp_config_write(vdev)
        return_to_user_space()

    def reset(self, vdev: VfioPciDevice) -> Errno:
        """VFIO_DEVICE_RESET."""
        return _returned(vfio_pci_ioctl_reset(vdev))

    def hot_reset(self, vdev: VfioPciDevice) -> Errno:
        """VFIO_DEVICE_PCI_HOT_RESET of the set that the device is in."""
        return _returned(vfio_pci_ioctl_pci_hot_reset(vdev))

    def hot_reset_info(self, vdev: VfioPciDevice, mm: Mm | None = None) -> Errno:
        """VFIO_DEVICE_GET_PCI_HOT_RESET_INFO."""
        mm = mm or self.first_process()
        return _returned(vfio_pci_ioctl_get_pci_hot_reset_info(vdev, mm))

    def pm_entry(self, vdev: VfioPciDevice) -> Errno:
        """VFIO_DEVICE_FEATURE_LOW_POWER_ENTRY."""
        return _returned(vfio_pci_core_pm_entry(vdev))

    def pm_exit(self, vdev: VfioPciDevice) -> Errno:
        """VFIO_DEVICE_FEATURE_LOW_POWER_EXIT."""
        return _returned(vfio_pci_core_pm_exit(vdev))

    def read_bar(
        self, vdev: VfioPciDevice, bar: int = 0, offset: int = 0, count: int = WIDTH
    ) -> int:
        """pread() of a region; returns the number of bytes or an error."""
        return _returned(vfio_pci_bar_rw(vdev, self.first_process(), bar, offset, count, False))

    def write_bar(
        self, vdev: VfioPciDevice, bar: int = 0, offset: int = 0, count: int = WIDTH
    ) -> int:
        """pwrite() to a region; returns the number of bytes or an error."""
        return _returned(vfio_pci_bar_rw(vdev, self.first_process(), bar, offset, count, True))

    def ioeventfd(self, vdev: VfioPciDevice) -> None:
        """A vCPU signals an eventfd that stands for a write to the BAR.

        Model: the worker, where one is needed, is the same task.
        """
        if not vfio_pci_ioeventfd_handler(vdev):
            vfio_pci_core_io(vdev)

    def enable_interrupts(self, vdev: VfioPciDevice) -> None:
        """VFIO_DEVICE_SET_IRQS for MSI-X."""
        vfio_msi_enable(vdev)
        return_to_user_space()

    def read_sriov_numvfs(self, vdev: VfioPciDevice) -> None:
        """Root reads a file of the device in sysfs that takes the device lock."""
        mutex_lock(vdev.device_lock)
        mutex_unlock(vdev.device_lock)
        return_to_user_space()

    def map_dma(self, container: VfioIommu, mapping: Mapping) -> Errno:
        """Let devices of a container reach a mapping, at the same addresses: VFIO_IOMMU_MAP_DMA."""
        dma_map = DmaMap(vaddr=mapping.address, iova=mapping.address, size=mapping.size)
        return vfio_dma_do_map(container, mapping.mm, dma_map)

    def unmap_dma(self, container: VfioIommu, mapping: Mapping) -> Errno:
        """Take a mapping out of a container again: VFIO_IOMMU_UNMAP_DMA."""
        error, _unmapped = vfio_dma_do_unmap(container, mapping.address, mapping.size)
        return error

    def export_dma_buf(self, vdev: VfioPciDevice, bar: int = 0) -> DmaBuf | None:
        """VFIO_DEVICE_FEATURE_DMA_BUF for a whole BAR; None where the kernel refuses.

        As for rules, see above.
        """
        _error, dmabuf = vfio_pci_core_feature_dma_buf(vdev, bar, 0, vdev.bars[bar][1])
        if dmabuf is not None and setting_up():
            self.dmabufs.append(dmabuf)
        return dmabuf

    def run_job(self, importer: Importer, dmabuf: DmaBuf | None) -> Errno:
        """Another device imports a dma-buf and does DMA to it, once."""
        return _returned(importer_run_job(importer, dmabuf))

    def guest_touch(self, vm: Kvm, mapping: Mapping, offset: int = 0) -> Errno:
        """A guest accesses a byte; -EFAULT is an exit of KVM_RUN that the VMM cannot mend."""
        return kvm_vcpu_run(vm, mapping.address + offset)


def _returned(result: int) -> int:
    """What a system call returns, with no lock held."""
    return_to_user_space()
    return result
