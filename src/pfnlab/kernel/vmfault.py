"""struct vm_fault: one fault, as its handler sees it.  It lives on the stack of one task."""

from dataclasses import dataclass

from pfnlab.kernel.fault_codes import FAULT_FLAG_VMA_LOCK, FaultFlag
from pfnlab.kernel.locks import mmap_read_unlock
from pfnlab.kernel.vma import Vma
from pfnlab.kernel.vma_lock import vma_end_read


@dataclass
class VmFault:
    """`address` is that of the page; `pgoff` the page of the file at it."""

    vma: Vma
    address: int
    pgoff: int
    flags: FaultFlag


def release_fault_lock(vmf: VmFault) -> None:
    """Drop the lock that the fault came with, before VM_FAULT_RETRY is returned."""
    if vmf.flags & FAULT_FLAG_VMA_LOCK:
        vma_end_read(vmf.vma)
    else:
        mmap_read_unlock(vmf.vma.vm_mm)
