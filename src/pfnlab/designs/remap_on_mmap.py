"""remap_on_mmap: mmap() maps the whole VMA; there is no fault handler.

The address space series of Alex Williamson, 2021-08-05
(https://lore.kernel.org/all/162818167535.1511194.6614962507750594786.stgit@omen/), and the
remap_pfn_range() in ->mmap of his branch of 2024
(https://github.com/awilliam/linux-vfio, branch vfio-address-space).  Never merged so.

->mmap has mmap_lock for write, which is what remap_pfn_range() wants; a mapping costs no
fault at all.  A disable zaps through the address_space.  Nothing maps a VMA again when
memory is enabled later: an access is SIGBUS until user space calls mmap() once more.

It is not safe.  ->mmap runs before the VMA is linked into i_mmap: a zap in between finds
no VMA, and its leaves outlive the disable.  That memory_lock is held for read while the
VMA is filled does not help, as it is let go before the link.

The zap takes VM_PAT off the flags, and the rmap lock is all that it holds: whoever looks at
the VMA meanwhile, as fork does, races with it.  remap_pfn_range() sets VM_PAT, so designs
that insert page by page do not have this.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem
"""

from pfnlab.designs.huge_fault import (
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.kernel import *


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    # vm_pgoff stays an offset in the device file: unmap_mapping_range() looks VMAs up by it.
    pfn = vdev.bar_pfn(vma.vm_pgoff)
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)

    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return 0  # an empty VMA, for good
        return io_remap_pfn_range(vma, vma.vm_start, pfn, vma.size, vma.vm_page_prot)


design = Design(
    name="remap_on_mmap",
    kernels="never merged",
    kernel="v6.10",
    year=2021,
    mmap=mmap,
    vm_ops=VmOperations(),  # no fault: an access to an empty slot is SIGBUS
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
