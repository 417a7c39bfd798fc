"""A CPU that runs user space: an access, its translation, and the faults on the way."""

from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.pagetable import walk
from pfnlab.kernel.user_fault import exc_page_fault
from pfnlab.kernel.vma import Mm

INTERFERENCES = 1


def access(mm: Mm, address: int) -> vm_fault_t:
    """A CPU in user space reads or writes; faults are taken until it has succeeded.

    Returns 0, VM_FAULT_SIGBUS or VM_FAULT_SIGSEGV; VM_FAULT_RETRY if the task is killed.

    Model: an access whose leaf was taken away between the fault and the second try is
    tried again once, and gives up after that.  Real ones go on for ever, but the rounds
    that follow are the first over again, and a search must end.
    """
    begin_trying()
    signal = vm_fault_t(0)
    faults = 0
    while not signal and walk(mm, address, "access").leaf is None:
        if faults:
            try_again()
        if faults > INTERFERENCES:
            break
        signal = exc_page_fault(mm, address)
        return_to_user_space()
        faults += 1
    done_trying()
    return signal
