"""One fault, from the VMA to its handler.

Drawn after mm/memory.c: handle_mm_fault() and below.
"""

from pfnlab.engine.current import running_task
from pfnlab.engine.errors import ModelError, defined_at
from pfnlab.engine.step import violate
from pfnlab.kernel.fault_codes import (
    FAULT_FLAG_VMA_LOCK,
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
from pfnlab.kernel.fault_rules import (
    FALLBACK_FROM_HUGE_ONLY,
    check_lock_after_fault,
    checked,
    fault_lock,
    name_of,
    sanitize_fault_flags,
)
from pfnlab.kernel.file import assert_not_released
from pfnlab.kernel.geometry import PMD_ORDER, PUD_ORDER, Order
from pfnlab.kernel.gfp import GFP_PGTABLE_USER, might_alloc
from pfnlab.kernel.pagetable import pmd_alloc, walk
from pfnlab.kernel.thp import thp_vma_allowable_order
from pfnlab.kernel.vma import Mm, Vma, linear_page_index
from pfnlab.kernel.vma_lock import vma_end_read
from pfnlab.kernel.vmfault import VmFault


def handle_mm_fault(vma: Vma, address: int, flags: FaultFlag) -> vm_fault_t:
    """Called with the lock of the fault held for read: mmap_lock, or the VMA's.

    VM_FAULT_RETRY and VM_FAULT_COMPLETED say that it has been dropped, and then the VMA may
    be gone (R6).  The address is that of a page.
    """
    if not sanitize_fault_flags(vma, flags):
        return VM_FAULT_SIGSEGV
    lock = fault_lock(vma, flags)
    before = running_task().holds(lock)
    fault = __handle_mm_fault(vma, address, flags)
    check_lock_after_fault(lock, before, flags, fault)
    return fault


def __handle_mm_fault(vma: Vma, address: int, flags: FaultFlag) -> vm_fault_t:
    """Try the levels from the largest down; a slot that is not none is not tried.

    A leaf that somebody else put into a slot meanwhile ends the fault, at any level (R30):
    the CPU tries again and finds it, or faults again.

    Model: but for a fault that asks huge_fault, tables come with the first leaf in them; the
    kernel allocates that of PMDs before it asks the handler, which may then map nothing.
    """
    mm: Mm = vma.vm_mm
    vmf = VmFault(vma, address, linear_page_index(vma, address), flags)
    found = walk(mm, address)
    if found.leaf is None and thp_vma_allowable_order(vma):
        if found.pud is None:
            fault = create_huge_pud(vmf)
            if not fault & VM_FAULT_FALLBACK:
                return fault
            might_alloc(GFP_PGTABLE_USER)
            found = pmd_alloc(mm, address)
        if found.leaf is None and found.pmd is None:
            fault = create_huge_pmd(vmf)
            if not fault & VM_FAULT_FALLBACK:
                return fault
            found = walk(mm, address)  # the lock was not dropped, but a leaf may have come
    if found.leaf is not None:
        return vm_fault_t(0)
    return handle_pte_fault(vmf)


def create_huge_pud(vmf: VmFault) -> vm_fault_t:
    return call_huge_fault(vmf, PUD_ORDER)


def create_huge_pmd(vmf: VmFault) -> vm_fault_t:
    return call_huge_fault(vmf, PMD_ORDER)


def call_huge_fault(vmf: VmFault, order: Order) -> vm_fault_t:
    """Called under either lock; vmf.flags tells which."""
    huge_fault = vmf.vma.vm_ops.huge_fault
    assert huge_fault is not None
    assert_not_released(vmf.vma.vm_file)
    return checked(huge_fault(vmf, order), huge_fault)


def handle_pte_fault(vmf: VmFault) -> vm_fault_t:
    return do_fault(vmf)


def do_fault(vmf: VmFault) -> vm_fault_t:
    """A fault of a file.

    Model: without a handler it is SIGBUS at once; the kernel looks for a PTE again.
    """
    if vmf.vma.vm_ops.fault is None:
        return VM_FAULT_SIGBUS
    return do_shared_fault(vmf)


def do_shared_fault(vmf: VmFault) -> vm_fault_t:
    return vmf_can_call_fault(vmf) or __do_fault(vmf)


def vmf_can_call_fault(vmf: VmFault) -> vm_fault_t:
    """A driver's fault needs mmap_lock, unless the driver has map_pages: then RETRY.

    Model: only `map_pages` itself is missing; that a VMA has it is all that is asked.
    """
    if vmf.vma.vm_ops.map_pages or not vmf.flags & FAULT_FLAG_VMA_LOCK:
        return vm_fault_t(0)
    vma_end_read(vmf.vma)
    return VM_FAULT_RETRY


def __do_fault(vmf: VmFault) -> vm_fault_t:
    fault_handler = vmf.vma.vm_ops.fault
    assert fault_handler is not None
    assert_not_released(vmf.vma.vm_file)
    fault = checked(fault_handler(vmf), fault_handler)
    if fault & VM_FAULT_FALLBACK:
        violate(FALLBACK_FROM_HUGE_ONLY, f"{name_of(fault_handler)} returns {show_fault(fault)}.")
    if not fault & (VM_FAULT_ERROR | VM_FAULT_NOPAGE | VM_FAULT_RETRY):
        raise ModelError(
            f"{name_of(fault_handler)} returned {show_fault(fault)}, which promises a struct page; "
            "a pfn mapping returns VM_FAULT_NOPAGE",
            defined_at(fault_handler),
        )
    return fault
