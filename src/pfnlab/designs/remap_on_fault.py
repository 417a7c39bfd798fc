"""remap_on_fault: the first fault maps the whole VMA.

vfio-pci from 11c4cd07ba11 ("vfio-pci: Fault mmaps to enable vma tracking", v5.8) until
aac6db75a9fc ("vfio/pci: Use unmap_mapping_range()", v6.10).  Drawn after
drivers/vfio/pci/vfio_pci_core.c as it stood in May 2023.

One fault fills the VMA with one io_remap_pfn_range() and puts it on vma_list, so that a
zap knows which VMAs to visit.  A single fault per VMA is the attraction; the list and
its locking are the price.

    mmap_lock  >  vma_lock  >  memory_lock

A zap starts from the device, at the bottom of that order.  It must let go of vma_lock,
climb to mmap_lock, and come down again.
"""

from pfnlab.kernel import *


class Device(VfioPciDevice):
    """What this design adds to vfio_pci_core_device."""

    vma_lock = mutex()
    vma_list = shared_list(guarded_by="vma_lock")  # VMAs faulted since the last zap


def mmap(vdev: Device, vma: Vma) -> Errno:
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vma.vm_pgoff = vdev.bar_pfn(vma.vm_pgoff)
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
    return 0


def mmap_open(vma: Vma) -> None:
    # A forked VMA starts empty: only a fault puts it on vma_list.
    zap_vma_ptes(vma, vma.vm_start, vma.size)


def mmap_close(vma: Vma) -> None:
    vdev = vma.vm_private_data
    with vdev.vma_lock:
        if vma in vdev.vma_list:
            vdev.vma_list.remove(vma)


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data

    with vdev.vma_lock, vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS

        # Another fault filled this VMA while we waited for vma_lock.
        if vma in vdev.vma_list:
            return VM_FAULT_NOPAGE

        # Sets VM_PAT, which needs mmap_lock for write.  A fault has it for read.
        if io_remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, vma.size, vma.vm_page_prot):
            zap_vma_ptes(vma, vma.vm_start, vma.size)
            return VM_FAULT_SIGBUS

        might_alloc(GFP_KERNEL)  # the list node
        vdev.vma_list.append(vma)
        return VM_FAULT_NOPAGE


def first_living_mm(vdev: Device) -> Mm | None:
    """Pin the mm of the first VMA on the list.  Needs vma_lock.

    A dying mm is past its use: exit_mmap() zaps what is left, so its VMAs come off the list.
    """
    for vma in vdev.vma_list:
        mm: Mm = vma.vm_mm
        if mmget_not_zero(mm):
            return mm
        vdev.vma_list.remove(vma)
    return None


def zap_and_down_write_memory_lock(vdev: Device) -> None:
    """Return with memory_lock held for write and no leaf left in any mm."""
    while True:
        mutex_lock(vdev.vma_lock)
        mm = first_living_mm(vdev)
        if mm is None:
            break  # with vma_lock held: no fault can refill the list
        mutex_unlock(vdev.vma_lock)

        with mm.mmap_lock.read(), vdev.vma_lock:
            for vma in vdev.vma_list:
                if vma.vm_mm is mm:
                    vdev.vma_list.remove(vma)
                    zap_vma_ptes(vma, vma.vm_start, vma.size)

        # If the process has gone meanwhile, this unmaps all it had and calls ->close,
        # which takes vma_lock: so no lock is held here.
        mmput(mm)

    down_write(vdev.memory_lock)
    mutex_unlock(vdev.vma_lock)


def zap_and_trylock_memory_lock(vdev: Device) -> bool:
    """The same for a hot reset, which gives up where it would have to wait."""
    while True:
        if not mutex_trylock(vdev.vma_lock):
            return False
        mm = first_living_mm(vdev)
        if mm is None:
            break
        mutex_unlock(vdev.vma_lock)

        if not mmap_read_trylock(mm):
            mmput(mm)
            return False
        listed = mutex_trylock(vdev.vma_lock)
        if listed:
            for vma in vdev.vma_list:
                if vma.vm_mm is mm:
                    vdev.vma_list.remove(vma)
                    zap_vma_ptes(vma, vma.vm_start, vma.size)
            mutex_unlock(vdev.vma_lock)
        mmap_read_unlock(mm)
        mmput(mm)
        if not listed:
            return False

    taken = down_write_trylock(vdev.memory_lock)
    mutex_unlock(vdev.vma_lock)
    return taken


design = Design(
    name="remap_on_fault",
    kernels="v5.8 to v6.9",
    kernel="v6.9",
    profiles=("v5.8", "v6.1", "v6.1.192", "v6.4", "v6.9"),
    year=2020,
    device=Device,
    mmap=mmap,
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
