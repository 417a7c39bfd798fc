"""write_lock_in_fault: remap_on_fault, with mmap_lock taken for write in the handler.

"[PATCH] vfio/pci: take mmap write lock for io_remap_pfn_range", Yan Zhao, 2023-05-08.
Never merged.  What differs from remap_on_fault is the handler; its body, the list of VMAs
and the zap are the same.

The handler lets go of mmap_lock, which its caller holds for read, and takes it for write.
So vm_flags changes under the right lock, and the splat is gone.  It is not safe:

    between the two holds anybody may unmap the VMA, and the handler looks nothing up again;
    nobody asked FAULT_FLAG_ALLOW_RETRY whether mmap_lock may be dropped at all;
    on an error mmap_lock is held for read again, as if it had never been let go.

    mmap_lock  >  vma_lock  >  memory_lock

The zap comes from below, as in remap_on_fault.
"""

from pfnlab.designs import remap_on_fault
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

    lockdep_assert_held(vma.vm_mm.mmap_lock)
    mmap_read_unlock(vma.vm_mm)

    # From here on the VMA may be freed.  The patch goes on to use it.
    if mmap_write_lock_killable(vma.vm_mm):
        return VM_FAULT_RETRY

    fault = remap_on_fault.mmap_fault(vmf)

    mmap_write_unlock(vma.vm_mm)

    # VM_FAULT_COMPLETED says that mmap_lock is released; an error says that it is held.
    if fault == VM_FAULT_NOPAGE:
        fault |= VM_FAULT_COMPLETED
    else:
        mmap_read_lock(vma.vm_mm)
    return fault


design = Design(
    name="write_lock_in_fault",
    kernels="never merged",
    kernel="v6.4",
    year=2023,
    device=Device,
    mmap=mmap,
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
