"""What the caller of handle_mm_fault() and a fault handler promise each other.

The lock of a fault is mmap_lock or, with FAULT_FLAG_VMA_LOCK, that of the VMA; both are
held for read.
"""

from pfnlab.engine.current import running_task
from pfnlab.engine.errors import ModelError, defined_at
from pfnlab.engine.rwsem import RwSemaphore
from pfnlab.engine.step import violate
from pfnlab.engine.task import Hold
from pfnlab.kernel.fault_codes import (
    FAULT_FLAG_ALLOW_RETRY,
    FAULT_FLAG_RETRY_NOWAIT,
    FAULT_FLAG_TRIED,
    FAULT_FLAG_VMA_LOCK,
    FAULT_FLAG_WRITE,
    VM_FAULT_COMPLETED,
    VM_FAULT_OOM,
    VM_FAULT_RETRY,
    VM_FAULT_SIGSEGV,
    FaultFlag,
    show_fault,
    show_fault_flags,
    vm_fault_t,
)
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import VM_WRITE, Vma

RETRY_ONLY_IF_ALLOWED = contract(
    "R8",
    "mmap_lock_dropped_only_if_allowed",
    "A handler drops mmap_lock, or says so, only with FAULT_FLAG_ALLOW_RETRY and the code for it.",
    "include/linux/mm_types.h: VM_FAULT_RETRY, VM_FAULT_COMPLETED",
)
HELD_THROUGHOUT = contract(
    "R7",
    "fault_lock_held_throughout",
    "A handler that lets its caller think so has not dropped the lock of the fault in between.",
    "include/linux/mm_types.h: VM_FAULT_RETRY, VM_FAULT_COMPLETED; mm/gup.c: fixup_user_fault(), "
    "*unlocked",
)
NO_DROP_WITH_NOWAIT = contract(
    "R9",
    "mmap_lock_kept_with_retry_nowait",
    "With FAULT_FLAG_RETRY_NOWAIT a handler keeps mmap_lock, also when it returns RETRY.",
    "include/linux/mm_types.h: enum fault_flag; mm/gup.c: faultin_page(), WARN_ON_ONCE()",
)
LEGAL_FAULT_FLAGS = contract(
    "R10",
    "fault_flags_go_together",
    "handle_mm_fault() is called with flags that do not go together.",
    "include/linux/mm_types.h: enum fault_flag; mm/memory.c: sanitize_fault_flags()",
)
VMA_LOCK_RETURNED = contract(
    "R11",
    "vma_lock_dropped_only_for_retry",
    "A handler called under a VMA lock ends that lock if it says that it did, and only then.",
    "include/linux/mm.h: release_fault_lock(); arch/x86/mm/fault.c: do_user_addr_fault(), v6.4",
)
FALLBACK_FROM_HUGE_ONLY = contract(
    "R11a",
    "fallback_only_from_huge_fault",
    "VM_FAULT_FALLBACK may be returned by huge_fault only.",
    "mm/gup.c: fixup_user_fault(), BUG() on an error without a number",
)
OOM_WITHOUT_MEMORY_ONLY = contract(
    "R11b",
    "oom_means_no_memory",
    "VM_FAULT_OOM says that memory ran out, and it has not.",
    "mm/oom_kill.c: pagefault_out_of_memory(); virt/kvm/kvm_main.c: -EFAULT to user space",
)
MEMORY_OFF_IS_SIGBUS = contract(
    "R11c",
    "handler_fails_with_sigbus",
    "A handler of VFIO that cannot map fails with VM_FAULT_SIGBUS, which user space expects.",
    "drivers/vfio/pci/vfio_pci_core.c: vfio_pci_mmap_fault(), v5.8 on",
)
ENABLED_MEMORY_IS_REACHED = contract(
    "L1",
    "enabled_memory_is_reached",
    "A touch of memory that is enabled all the while ends in a signal.",
    "mm/memory.c: do_fault(); what a mapping is for",
)


def sanitize_fault_flags(vma: Vma, flags: FaultFlag) -> bool:
    """Whether the flags make sense.  The kernel warns of some, and ends the fault in SIGSEGV.

    It asserts all but FAULT_FLAG_TRIED, of which its header says so.
    """
    wrong = ""
    if flags & FAULT_FLAG_TRIED and not flags & FAULT_FLAG_ALLOW_RETRY:
        wrong = "a fault that was tried has FAULT_FLAG_ALLOW_RETRY"
    elif flags & FAULT_FLAG_VMA_LOCK and flags & FAULT_FLAG_RETRY_NOWAIT:
        wrong = "VM_FAULT_RETRY always drops the lock of a VMA"
    elif flags & FAULT_FLAG_WRITE and not vma.vm_flags & VM_WRITE:
        wrong = f"{vma} cannot be written"
    if wrong:
        violate(LEGAL_FAULT_FLAGS, f"{show_fault_flags(flags)}: {wrong}.")
    return not wrong


def fault_lock(vma: Vma, flags: FaultFlag) -> RwSemaphore:
    """What the caller of handle_mm_fault() holds for read."""
    if flags & FAULT_FLAG_VMA_LOCK:
        return vma.vm_lock.vm_lock
    lock: RwSemaphore = vma.vm_mm.mmap_lock
    return lock


def check_lock_after_fault(
    lock: RwSemaphore, before: Hold | None, flags: FaultFlag, fault: vm_fault_t
) -> None:
    """The lock is held as `before`, unless the return code says otherwise and may do so."""
    of_vma = bool(flags & FAULT_FLAG_VMA_LOCK)
    rule, name = (VMA_LOCK_RETURNED, lock.name) if of_vma else (RETRY_ONLY_IF_ALLOWED, "mmap_lock")
    hold = running_task().holds(lock)
    code = show_fault(fault)
    if flags & FAULT_FLAG_RETRY_NOWAIT:
        if fault & VM_FAULT_COMPLETED or hold is not before:
            violate(
                NO_DROP_WITH_NOWAIT,
                f"The handler drops {lock.name} and returns {code}; FAULT_FLAG_RETRY_NOWAIT "
                "forbids that.",
            )
        return
    dropped = bool(fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
    if dropped and not flags & FAULT_FLAG_ALLOW_RETRY:
        violate(RETRY_ONLY_IF_ALLOWED, f"{code} without FAULT_FLAG_ALLOW_RETRY.")
    elif dropped and hold is not None:
        violate(rule, f"{code} with {name} still held.")
    elif not dropped and (hold is None or hold.mode != "read"):
        violate(rule, f"{code} means that {lock.name} is held for read; it is not.")
    elif not dropped and hold is not before:
        violate(HELD_THROUGHOUT, f"{code}, and {lock.name} was dropped and taken again.")


def checked(fault: object, handler: object) -> vm_fault_t:
    """A handler's return code, or ModelError if it is none.

    Model: memory never runs out, so VM_FAULT_OOM is always wrong.
    """
    if not isinstance(fault, vm_fault_t):
        raise ModelError(
            f"{name_of(handler)} returned {fault!r}; return VM_FAULT_NOPAGE, VM_FAULT_SIGBUS or "
            "another VM_FAULT_ code",
            defined_at(handler),
        )
    if fault & VM_FAULT_OOM:
        violate(OOM_WITHOUT_MEMORY_ONLY, f"{name_of(handler)} returns {show_fault(fault)}.")
    if fault & VM_FAULT_SIGSEGV:
        violate(MEMORY_OFF_IS_SIGBUS, f"{name_of(handler)} returns {show_fault(fault)}.")
    return fault


def name_of(function: object) -> str:
    return getattr(function, "__name__", str(function))
