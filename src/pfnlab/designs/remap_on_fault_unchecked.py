"""remap_on_fault_unchecked: the first fault maps the whole VMA, and so does the second.

vfio-pci from 11c4cd07ba11 ("vfio-pci: Fault mmaps to enable vma tracking", v5.8) with
abafbc551fdd ("vfio-pci: Invalidate mmaps and block MMIO access on disabled memory", v5.8)
until "vfio/pci: Handle concurrent vma faults", v5.14.  Drawn after
drivers/vfio/pci/vfio_pci.c of v5.10.  What differs from remap_on_fault is the handler:

    it does not ask whether the VMA is on vma_list: two first faults fill it twice, and the
    second meets BUG_ON(!pte_none());
    it lists the VMA first, lets vma_lock go, and fills it with memory_lock alone.  A zap
    in between takes the VMA off the list while it is still empty, waits for memory_lock,
    and does not look again when it gets it.

What was meant to make it safe: a listed VMA is found by the zap, and memory_lock held for
read keeps memory enabled while it is filled.  Both are true, and not enough.

    mmap_lock  >  vma_lock  >  memory_lock

The zap comes from below, as in remap_on_fault.
"""

from pfnlab.designs.remap_on_fault import (
    Device,
    mmap,
    mmap_close,
    mmap_open,
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.kernel import *


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data

    mutex_lock(vdev.vma_lock)
    with vdev.memory_lock.read():
        enabled = vdev.memory_enabled
        if enabled:
            might_alloc(GFP_KERNEL)  # the list node
            vdev.vma_list.append(vma)
        mutex_unlock(vdev.vma_lock)

        if not enabled:
            return VM_FAULT_SIGBUS
        if io_remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, vma.size, vma.vm_page_prot):
            return VM_FAULT_SIGBUS
        return VM_FAULT_NOPAGE


design = Design(
    name="remap_on_fault_unchecked",
    kernels="v5.8 to v5.13",
    kernel="v5.8",
    profiles=("v5.8",),
    year=2020,
    device=Device,
    mmap=mmap,
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
