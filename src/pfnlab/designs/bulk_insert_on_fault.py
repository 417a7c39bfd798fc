"""bulk_insert_on_fault: the first fault inserts every page of the VMA, one by one.

Posted by Yan Zhao on 2023-05-11 in the thread of "[PATCH] vfio/pci: take mmap write lock
for io_remap_pfn_range", as a question.  Never merged as posted.  What differs from
remap_on_fault is the middle of the handler: vmf_insert_pfn() writes no flags, so mmap_lock
held for read is enough.

The arithmetic is kept as it was posted, and is wrong.  base_pfn is the pfn of the faulting
page, not that of vm_start; the loop adds the index of the page to it.  With d the index of
the faulting page, page i of the VMA maps page i + d of the BAR, and the last d pages map
what lies behind the window.  It is right for d = 0, and type1 begins with the first page; a
zap between two of its pages is enough to make it fault another.  insert_vma_on_fault is what
became of it.

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

    with vdev.vma_lock, vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        if vma in vdev.vma_list:
            return VM_FAULT_NOPAGE

        base_pfn = (vmf.address - vma.vm_start) >> PAGE_SHIFT
        base_pfn += vma.vm_pgoff
        for addr in range(vma.vm_start, vma.vm_end, PAGE_SIZE):
            offset = (addr - vma.vm_start) >> PAGE_SHIFT
            fault = vmf_insert_pfn(vma, addr, base_pfn + offset)
            if fault != VM_FAULT_NOPAGE:
                zap_vma_ptes(vma, vma.vm_start, vma.size)
                return fault

        might_alloc(GFP_KERNEL)  # the list node
        vdev.vma_list.append(vma)
        return VM_FAULT_NOPAGE


design = Design(
    name="bulk_insert_on_fault",
    kernels="never merged",
    kernel="v6.4",
    year=2023,
    device=Device,
    mmap=mmap,
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
