"""insert_page_on_fault: each fault inserts the one page that was touched.

Cédric Le Goater tried it in May 2023 (https://github.com/legoater/linux, branch vfio).
aac6db75a9fc ("vfio/pci: Use unmap_mapping_range()", v6.10) has it with the zap that is
used here; d71a989cf5d9, the next commit, made insert_vma_on_fault of it.  It is the order-0
branch of huge_fault since v6.12.

vmf_insert_pfn() is made for fault handlers: it writes no flags, and a slot that is taken
stays as it is.  So mmap_lock held for read is enough, and two faults may run side by side.
The price is one fault for each page: 800 thousand of them on one GPU.

There is no list of VMAs.  Whoever inserts holds memory_lock for read, and the zap, which
finds VMAs through the address_space, holds it for write.  So whoever gets memory_lock for
write has waited for every insert, and finds its leaf: a VMA with a leaf has been faulted,
so it is linked into i_mmap.  A fault that comes later sees memory off.

For the other way to zap see insert_page_on_fault_vma_list.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem
"""

from pfnlab.designs.huge_fault import (
    mmap,
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.kernel import *


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    pgoff = vmf.pgoff - vma.vm_pgoff
    pfn = vdev.bar_pfn(vma.vm_pgoff)

    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS

        # The result is the handler's: another fault on this page may have been faster.
        return vmf_insert_pfn(vma, vmf.address, pfn + pgoff)


design = Design(
    name="insert_page_on_fault",
    kernels="one commit of v6.10-rc4; order 0 of v6.12 and later",
    kernel="v6.10",
    year=2023,
    mmap=mmap,
    vm_ops=VmOperations(fault=page_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
