"""insert_page_on_fault_vma_list: one page for each fault, and the zap of remap_on_fault.

The smallest change that silences the lockdep splat of remap_on_fault, while vma_list and
its zap stay: what the thread of 2023-05 had in mind for "the interim".  Not merged: with
aac6db75a9fc ("vfio/pci: Use unmap_mapping_range()", v6.10) the list went away first.

It shows that the two halves of a design are independent.  The page comes from
insert_page_on_fault and the zap from remap_on_fault; what is here is the one thing that
couples them: a VMA that has a leaf must be on vma_list.  vma_lock is held from before the
insert until the VMA is on the list, so a zap meets both or neither.

A VMA on the list is not full, so a second fault inserts its page all the same.

    mmap_lock  >  vma_lock  >  memory_lock

The zap comes from below, as in remap_on_fault.
"""

from pfnlab.designs.huge_fault import mmap
from pfnlab.designs.insert_page_on_fault import page_fault
from pfnlab.designs.remap_on_fault import (
    Device,
    mmap_close,
    mmap_open,
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.kernel import *


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data

    with vdev.vma_lock:
        fault = page_fault(vmf)
        # memory_lock is free again, but a zap needs vma_lock before it can get there.
        if fault == VM_FAULT_NOPAGE and vma not in vdev.vma_list:
            might_alloc(GFP_KERNEL)  # the list node
            vdev.vma_list.append(vma)
        return fault


design = Design(
    name="insert_page_on_fault_vma_list",
    kernels="never merged",
    kernel="v6.4",
    year=2023,
    device=Device,
    mmap=mmap,
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
