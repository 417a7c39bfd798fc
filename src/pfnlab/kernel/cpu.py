"""A CPU that runs user space: an access, its translation, and the faults on the way."""

from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.kernel.fault import exc_page_fault
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.pagetable import walk
from pfnlab.kernel.vma import Mm


def access(mm: Mm, address: int) -> vm_fault_t:
    """A CPU in user space reads or writes; faults are taken until it has succeeded.

    Returns 0, VM_FAULT_SIGBUS or VM_FAULT_SIGSEGV.
    """
    begin_trying()
    signal = vm_fault_t(0)
    faulted = False
    while not signal and walk(mm, address, "access").leaf is None:
        if faulted:
            try_again()
        signal = exc_page_fault(mm, address)
        return_to_user_space()
        faulted = True
    done_trying()
    return signal
