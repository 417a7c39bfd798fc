"""huge_fault: each fault installs the largest leaf that fits.

vfio-pci since f9e54c3a2f5b ("vfio/pci: implement huge_fault support", v6.12), with the test
of the pfn of 09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn", v6.13) and
the rounding of c1d9dac0db16 ("vfio/pci: Align huge faults to order", v6.15; 6.12.29).
Drawn after drivers/vfio/pci/vfio_pci_core.c as it stood in 2026.

There is no list of VMAs: the device has one address_space, and unmap_mapping_range()
finds every VMA through it.  One rule is left:

    whoever inserts a leaf holds memory_lock for read;
    whoever stops the device decoding memory holds it for write.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem
"""

from pfnlab.kernel import *


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    # vm_pgoff stays an offset in the device file: unmap_mapping_range() looks VMAs up by it.
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
    return 0


def huge_fault(vmf: VmFault, order: int) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data

    # Every fault in a PMD asks for the whole of it, so no page is ever wanted under a PMD leaf.
    addr = align_down(vmf.address, PAGE_SIZE << order)
    pfn = vdev.bar_pfn(vma.vm_pgoff) + ((addr - vma.vm_start) >> PAGE_SHIFT)

    # An aligned address is not enough: a PMD leaf drops the low bits of an
    # unaligned pfn, and would map another part of the BAR.
    if not is_aligned_for_order(vma, addr, pfn, order):
        return VM_FAULT_FALLBACK

    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        if order == PUD_ORDER:
            return vmf_insert_pfn_pud(vmf, pfn, write=False)
        if order == PMD_ORDER:
            return vmf_insert_pfn_pmd(vmf, pfn, write=False)
        return vmf_insert_pfn(vma, vmf.address, pfn)


def page_fault(vmf: VmFault) -> vm_fault_t:
    return huge_fault(vmf, order=0)


def zap_bars(vdev: VfioPciDevice) -> None:
    start = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX)
    length = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_ROM_REGION_INDEX) - start
    unmap_mapping_range(vdev.mapping, start, length, even_cows=True)


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    """Return with memory_lock held for write and no leaf left in any mm."""
    # Lock first: a fault that arrives after the zap waits, then sees memory off.
    down_write(vdev.memory_lock)
    zap_bars(vdev)


def zap_and_trylock_memory_lock(vdev: VfioPciDevice) -> bool:
    """The same for a hot reset, which gives up where it would have to wait."""
    if not down_write_trylock(vdev.memory_lock):
        return False
    zap_bars(vdev)
    return True


design = Design(
    name="huge_fault",
    kernels="v6.12.29, v6.15 and later",
    profiles=("v6.12", "v6.12.117", "v6.16", "v7.3"),
    year=2024,
    mmap=mmap,
    vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
