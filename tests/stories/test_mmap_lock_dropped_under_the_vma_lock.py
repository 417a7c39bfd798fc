"""huge_fault that drops mmap_lock, as write_lock_in_fault does, in its huge_fault.

A fault comes with the lock of the VMA first.  Then nobody has mmap_lock, and the handler
gives back what it never had (S7).  A handler of single pages is safe from this: without
map_pages it is called with mmap_lock only.
"""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs.huge_fault import design, page_fault
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "vma_lock_dropped_only_for_retry"


def huge_fault_for_write(vmf: VmFault, order: Order) -> vm_fault_t:
    mmap_read_unlock(vmf.vma.vm_mm)
    return VM_FAULT_RETRY


def test_the_handler_releases_mmap_lock_that_nobody_has() -> None:
    drops = replace(
        design,
        name="mmap_lock_dropped_under_the_vma_lock",
        vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault_for_write),
    )

    finding = told(first_fault, drops, "lock_balance", "vcpu:5")

    assert "vcpu calls up_read for mm.mmap_lock and does not hold it." in finding.violation.evidence


def huge_fault_that_keeps_it(vmf: VmFault, order: Order) -> vm_fault_t:
    if vmf.flags & FAULT_FLAG_VMA_LOCK:
        return VM_FAULT_RETRY
    return VM_FAULT_FALLBACK


def test_retry_means_that_the_vma_lock_was_dropped() -> None:
    keeps = replace(
        design,
        name="retry_under_the_vma_lock",
        vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault_that_keeps_it),
    )

    finding = told(first_fault, keeps, RULE, "vcpu:5")

    assert finding.violation.evidence == (
        "VM_FAULT_RETRY with vma 7f0000000000.vm_lock still held.",
    )


def huge_fault_that_returns_it(vmf: VmFault, order: Order) -> vm_fault_t:
    if vmf.flags & FAULT_FLAG_VMA_LOCK:
        release_fault_lock(vmf)
        return VM_FAULT_RETRY
    return VM_FAULT_FALLBACK


def test_release_fault_lock_knows_which_lock_it_is() -> None:
    returns = replace(
        design,
        name="release_fault_lock",
        vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault_that_returns_it),
    )

    check(first_fault, returns)
