"""From a missing translation to the handler and back.

Drawn after mm/memory.c (handle_mm_fault() and below) and arch/x86/mm/fault.c.
"""

from pfnlab.engine.errors import ModelError, defined_at
from pfnlab.engine.execution import running
from pfnlab.engine.step import try_again, violate
from pfnlab.kernel.fault_codes import (
    FAULT_FLAG_ALLOW_RETRY,
    FAULT_FLAG_KILLABLE,
    FAULT_FLAG_TRIED,
    FAULT_FLAG_USER,
    VM_FAULT_COMPLETED,
    VM_FAULT_ERROR,
    VM_FAULT_FALLBACK,
    VM_FAULT_NOPAGE,
    VM_FAULT_RETRY,
    VM_FAULT_SIGBUS,
    VM_FAULT_SIGSEGV,
    FaultFlag,
    show_fault,
    vm_fault_t,
)
from pfnlab.kernel.geometry import PAGE_SIZE, PMD_ORDER, PUD_ORDER, Order, align_down
from pfnlab.kernel.locks import mmap_read_lock, mmap_read_unlock
from pfnlab.kernel.pagetable import Leaf, pmd_alloc, walk
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import (
    VM_EXEC,
    VM_READ,
    VM_WRITE,
    Mm,
    Vma,
    find_vma,
    linear_page_index,
)
from pfnlab.kernel.vmfault import VmFault

RETRY_ONLY_IF_ALLOWED = contract(
    "R8",
    "mmap_lock_dropped_only_if_allowed",
    "A handler drops mmap_lock, or says so, only with FAULT_FLAG_ALLOW_RETRY and the code for it.",
    "include/linux/mm_types.h: VM_FAULT_RETRY, VM_FAULT_COMPLETED",
)
FALLBACK_FROM_HUGE_ONLY = contract(
    "R11a",
    "fallback_only_from_huge_fault",
    "VM_FAULT_FALLBACK may be returned by huge_fault only.",
    "mm/gup.c: fixup_user_fault(), BUG() on an error without a number",
)


def exc_page_fault(mm: Mm, address: int) -> vm_fault_t:
    return do_user_addr_fault(mm, address)


def do_user_addr_fault(mm: Mm, address: int) -> vm_fault_t:
    """One fault of user space; returns the signal it ends in, or 0 to try the access again.

    Model: kernels without per-VMA locks; no fatal signal is pending.
    """
    flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE | FAULT_FLAG_USER
    while True:
        mmap_read_lock(mm)
        vma = find_vma(mm, address)
        if vma is None:
            mmap_read_unlock(mm)
            return VM_FAULT_SIGSEGV
        if access_error(vma):
            mmap_read_unlock(mm)
            return VM_FAULT_SIGSEGV
        fault = handle_mm_fault(vma, align_down(address, PAGE_SIZE), flags)
        if fault & VM_FAULT_COMPLETED:
            return vm_fault_t(0)
        if fault & VM_FAULT_RETRY:
            # The second try has another flag, so only from the third on is it the same again.
            if flags & FAULT_FLAG_TRIED:
                try_again()
            flags |= FAULT_FLAG_TRIED
            continue
        mmap_read_unlock(mm)
        return fault & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV)


def access_error(vma: Vma) -> bool:
    """Whether the VMA allows no access at all.  Reads vm_flags under mmap_lock for read."""
    return not vma.vm_flags & (VM_READ | VM_WRITE | VM_EXEC)


def handle_mm_fault(vma: Vma, address: int, flags: FaultFlag) -> vm_fault_t:
    """Called with mmap_lock held for read; see VM_FAULT_RETRY for when it is dropped."""
    mm: Mm = vma.vm_mm
    fault = __handle_mm_fault(vma, address, flags)
    check_mmap_lock_after_fault(mm, flags, fault)
    return fault


def check_mmap_lock_after_fault(mm: Mm, flags: FaultFlag, fault: vm_fault_t) -> None:
    """mmap_lock is still held, unless the return code says otherwise and may do so."""
    _execution, task = running()
    dropped = bool(fault & (VM_FAULT_RETRY | VM_FAULT_COMPLETED))
    hold = task.holds(mm.mmap_lock)
    if dropped and not flags & FAULT_FLAG_ALLOW_RETRY:
        violate(RETRY_ONLY_IF_ALLOWED, f"{show_fault(fault)} without FAULT_FLAG_ALLOW_RETRY.")
    elif dropped and hold is not None:
        violate(RETRY_ONLY_IF_ALLOWED, f"{show_fault(fault)} with mmap_lock still held.")
    elif not dropped and (hold is None or hold.mode != "read"):
        violate(
            RETRY_ONLY_IF_ALLOWED,
            f"{show_fault(fault)} means that {mm}.mmap_lock is held for read; it is not.",
        )


def __handle_mm_fault(vma: Vma, address: int, flags: FaultFlag) -> vm_fault_t:
    """Try the levels from the largest down; a slot that is not none is not tried."""
    mm: Mm = vma.vm_mm
    vmf = VmFault(vma, address, linear_page_index(vma, address), flags)
    found = walk(mm, address)
    if vma.vm_ops.huge_fault is None or found.leaf is not None:
        return handle_pte_fault(vmf, found.leaf)
    if found.pud is None:
        fault = create_huge_pud(vmf)
        if not fault & VM_FAULT_FALLBACK:
            return fault
        found = pmd_alloc(mm, address)
    if found.leaf is None and found.pmd is None:
        fault = create_huge_pmd(vmf)
        if not fault & VM_FAULT_FALLBACK:
            return fault
    return handle_pte_fault(vmf, found.leaf)


def create_huge_pud(vmf: VmFault) -> vm_fault_t:
    return call_huge_fault(vmf, PUD_ORDER)


def create_huge_pmd(vmf: VmFault) -> vm_fault_t:
    return call_huge_fault(vmf, PMD_ORDER)


def call_huge_fault(vmf: VmFault, order: Order) -> vm_fault_t:
    huge_fault = vmf.vma.vm_ops.huge_fault
    assert huge_fault is not None
    return checked(huge_fault(vmf, order), huge_fault)


def handle_pte_fault(vmf: VmFault, leaf: Leaf | None) -> vm_fault_t:
    if leaf is not None:
        return vm_fault_t(0)  # somebody else was faster
    return do_fault(vmf)


def do_fault(vmf: VmFault) -> vm_fault_t:
    if vmf.vma.vm_ops.fault is None:
        return VM_FAULT_SIGBUS
    return do_shared_fault(vmf)


def do_shared_fault(vmf: VmFault) -> vm_fault_t:
    return __do_fault(vmf)


def __do_fault(vmf: VmFault) -> vm_fault_t:
    fault_handler = vmf.vma.vm_ops.fault
    assert fault_handler is not None
    fault = checked(fault_handler(vmf), fault_handler)
    if fault & VM_FAULT_FALLBACK:
        violate(FALLBACK_FROM_HUGE_ONLY, f"{name_of(fault_handler)} returns {show_fault(fault)}.")
    if not fault & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY | VM_FAULT_COMPLETED):
        raise ModelError(
            f"{name_of(fault_handler)} returned 0, which promises a struct page; a pfn mapping "
            "returns VM_FAULT_NOPAGE",
            defined_at(fault_handler),
        )
    return fault


def checked(fault: object, handler: object) -> vm_fault_t:
    """A handler's return code, or ModelError if it is none."""
    if not isinstance(fault, vm_fault_t):
        raise ModelError(
            f"{name_of(handler)} returned {fault!r}; return VM_FAULT_NOPAGE, VM_FAULT_SIGBUS or "
            "another VM_FAULT_ code",
            defined_at(handler),
        )
    return fault


def name_of(function: object) -> str:
    return getattr(function, "__name__", str(function))
