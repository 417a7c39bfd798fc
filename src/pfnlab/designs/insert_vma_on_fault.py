"""insert_vma_on_fault: a fault inserts its own page, then the rest of the VMA.

vfio-pci from d71a989cf5d9 ("vfio/pci: Insert full vma on mmap'd MMIO fault", v6.10) until
f9e54c3a2f5b ("vfio/pci: implement huge_fault support", v6.12).  Drawn after
drivers/vfio/pci/vfio_pci_core.c of v6.10.  The loop of bulk_insert_on_fault with its
arithmetic put right, on top of the zap of aac6db75a9fc ("vfio/pci: Use
unmap_mapping_range()", v6.10).

The page that was touched goes first, and its result is what the handler returns.  The rest
is a favour: the loop starts with the pfn of vm_start, and an error in it is swallowed.
vmf_insert_pfn() leaves a slot alone that is taken, so any number of faults may run this
loop at once, and nothing needs to know whether a VMA has been filled before.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem

memory_lock is held for read over the whole loop: a zap waits for it, and finds all pages.
"""

from pfnlab.designs.huge_fault import (
    mmap,
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.kernel import *


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    pgoff = vmf.pgoff - vma.vm_pgoff
    pfn = vdev.bar_pfn(vma.vm_pgoff)

    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS

        fault = vmf_insert_pfn(vma, vmf.address, pfn + pgoff)
        if fault & VM_FAULT_ERROR:
            return fault

        for addr in range(vma.vm_start, vma.vm_end, PAGE_SIZE):
            if addr != vmf.address and vmf_insert_pfn(vma, addr, pfn) & VM_FAULT_ERROR:
                break
            pfn += 1
        return fault


design = Design(
    name="insert_vma_on_fault",
    kernels="v6.10 and v6.11",
    kernel="v6.10",
    profiles=("v6.10",),
    year=2024,
    mmap=mmap,
    vm_ops=VmOperations(fault=mmap_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
