"""A CPU that runs user space: an access, its translation, and the faults on the way."""

from typing import Any, NamedTuple

from pfnlab.engine.access import atomically
from pfnlab.engine.current import running_task
from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.pagetable import Walk, path_of, walked
from pfnlab.kernel.tlb import Mapped, Translation, cached, cpu_name, tlb_of
from pfnlab.kernel.user_fault import exc_page_fault
from pfnlab.kernel.vma import Mm

INTERFERENCES = 1


class Hit(NamedTuple):
    """An access that needed no walk: the leaf may have gone since it was cached."""

    leaf: Mapped
    stale: bool

    def __str__(self) -> str:
        return f"{self.leaf}, from a {'stale TLB' if self.stale else 'TLB'}"


def reach(mm: Mm, address: int, verb: str) -> bool:
    """One try of an access: by what this CPU has cached, else by a walk, which it caches."""
    task = running_task()
    cpu = cpu_name(task)

    def look(old: tuple[Any, ...]) -> tuple[tuple[Any, ...], Hit | Walk]:
        tlb, slots = old[0], old[1:]
        found = walked(slots)
        if (known := cached(tlb, address)) is not None:
            return old, Hit(known.leaf, known.leaf != found.leaf)
        if found.leaf is not None:
            tlb = (*(tlb or ()), Translation(cpu, found.leaf))
        return (tlb, *slots), found

    found: Hit | Walk = atomically(
        (tlb_of(mm, task), *path_of(mm, address)), verb, look,
        detail=lambda found: f"{address:x}: {found}",
    )  # fmt: skip
    return found.leaf is not None


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
    while not signal and not reach(mm, address, "access"):
        if faults:
            try_again()
        if faults > INTERFERENCES:
            break
        signal = exc_page_fault(mm, address)
        return_to_user_space()
        faults += 1
    done_trying()
    return signal
