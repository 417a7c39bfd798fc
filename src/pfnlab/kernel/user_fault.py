"""A fault of user space, from the exception to the signal that it ends in.

Drawn after arch/x86/mm/fault.c and mm/memory.c (lock_mm_and_find_vma()).
"""

from pfnlab.engine.signal import fatal_signal_pending
from pfnlab.engine.step import try_again
from pfnlab.kernel.fault import handle_mm_fault
from pfnlab.kernel.fault_codes import (
    FAULT_FLAG_ALLOW_RETRY,
    FAULT_FLAG_KILLABLE,
    FAULT_FLAG_TRIED,
    FAULT_FLAG_USER,
    FAULT_FLAG_VMA_LOCK,
    VM_FAULT_COMPLETED,
    VM_FAULT_RETRY,
    VM_FAULT_SIGBUS,
    VM_FAULT_SIGSEGV,
    vm_fault_t,
)
from pfnlab.kernel.geometry import PAGE_SIZE, align_down
from pfnlab.kernel.locks import mmap_read_lock, mmap_read_unlock
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.vma import VM_EXEC, VM_READ, VM_WRITE, Mm, Vma, find_vma, lock_vma_under_rcu
from pfnlab.kernel.vma_lock import vma_end_read


def exc_page_fault(mm: Mm, address: int) -> vm_fault_t:
    return do_user_addr_fault(mm, align_down(address, PAGE_SIZE))


def do_user_addr_fault(mm: Mm, address: int) -> vm_fault_t:
    """One fault of user space; returns the signal it ends in, or 0 to try the access again.

    VM_FAULT_RETRY is returned if a fatal signal ended it: the task is killed.

    Model: mmap_lock is waited for even by a task that is being killed.  A fatal signal is
    looked for when mmap_lock was dropped, and not when only the VMA's lock was.
    """
    flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_USER
    vma = lock_vma_under_rcu(mm, address) if running_kernel().per_vma_lock else None
    if vma is not None:
        if access_error(vma):
            vma_end_read(vma)
            return VM_FAULT_SIGSEGV
        fault = handle_mm_fault(vma, address, flags | FAULT_FLAG_VMA_LOCK)
        if not fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED):
            vma_end_read(vma)
        if not fault & VM_FAULT_RETRY:
            return signal_of_fault(fault)
    while True:
        vma = lock_mm_and_find_vma(mm, address)
        if vma is None:
            return VM_FAULT_SIGSEGV
        if access_error(vma):
            mmap_read_unlock(mm)
            return VM_FAULT_SIGSEGV
        fault = handle_mm_fault(vma, address, flags)
        if fault & VM_FAULT_RETRY and fatal_signal_pending():
            return VM_FAULT_RETRY
        if fault & VM_FAULT_COMPLETED:
            return vm_fault_t(0)
        if fault & VM_FAULT_RETRY:
            # The second try has another flag, so only from the third on is it the same again.
            if flags & FAULT_FLAG_TRIED:
                try_again()
            flags |= FAULT_FLAG_TRIED
            continue
        mmap_read_unlock(mm)
        return signal_of_fault(fault)


def lock_mm_and_find_vma(mm: Mm, address: int) -> Vma | None:
    """Take mmap_lock for read and look up; without a VMA the lock is not held on return."""
    mmap_read_lock(mm)
    vma = find_vma(mm, address)
    if vma is None:
        mmap_read_unlock(mm)
    return vma


def access_error(vma: Vma) -> bool:
    """Whether the VMA allows no access at all.  Reads vm_flags under the lock of the fault."""
    return not vma.vm_flags & (VM_READ | VM_WRITE | VM_EXEC)


def signal_of_fault(fault: vm_fault_t) -> vm_fault_t:
    return fault & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)
