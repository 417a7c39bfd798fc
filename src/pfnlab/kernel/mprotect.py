"""mprotect(): what a range of addresses may be used for.  Drawn after mm/mprotect.c."""

from pfnlab.kernel.errno import EINVAL, ENOMEM, Errno
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.kernel.locks import mmap_write_lock, mmap_write_unlock, return_to_user_space
from pfnlab.kernel.mmu_gather import MmuGather, tlb_finish_mmu, tlb_gather_mmu
from pfnlab.kernel.munmap import vmas_in
from pfnlab.kernel.pagetable import change_protection
from pfnlab.kernel.split import vma_modify
from pfnlab.kernel.vma import VM_ACCESS_FLAGS, VM_READ, VM_WRITE, Mm, Vma, vm_flags_reset
from pfnlab.kernel.vma_lock import vma_start_write

PROT_NONE, PROT_READ, PROT_WRITE = 0, VM_READ, VM_WRITE


def mprotect(mm: Mm, start: int, length: int, prot: int) -> Errno:
    """The system call.  A gap ends it with -ENOMEM; what came before has been changed.

    Model: the file was opened for reading and writing, so every prot is allowed.
    """
    if start % PAGE_SIZE:
        return -EINVAL
    if not length:
        return 0
    end = start + -(-length // PAGE_SIZE) * PAGE_SIZE
    mmap_write_lock(mm)
    tlb = MmuGather()
    tlb_gather_mmu(tlb, mm)
    at = start
    for vma in vmas_in(mm, start, end):
        if vma.vm_start > at:
            break
        at = min(end, vma.vm_end)
        newflags = vma.vm_flags & ~VM_ACCESS_FLAGS | prot
        mprotect_fixup(tlb, vma, max(start, vma.vm_start), at, newflags)
    tlb_finish_mmu(tlb)
    mmap_write_unlock(mm)
    return_to_user_space()
    return 0 if at == end else -ENOMEM


def mprotect_fixup(tlb: MmuGather, vma: Vma, start: int, end: int, newflags: int) -> None:
    """Cut the VMA to the range, then change its flags, then its leaves.

    A fault in between waits for mmap_lock, or for the lock of the VMA.

    Model: vm_page_prot is the memory type alone, which mprotect() keeps; what an access
    may do is read from vm_flags.
    """
    if newflags == vma.vm_flags:
        return
    vma = vma_modify(vma, start, end)
    vma_start_write(vma)
    vm_flags_reset(vma, newflags)
    change_protection(tlb, vma, start, end)
