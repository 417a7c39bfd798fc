"""huge_fault that takes mmap_lock in huge_fault, to be sure.

With the lock of a VMA held that wait can last for ever: munmap() holds mmap_lock and waits
until nobody reads the VMA.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design, huge_fault, page_fault
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from pfnlab.scenarios.zaps import munmap_vs_fault
from tests.stories.story import told

RULE = "no_mmap_lock_under_vma_lock"


def huge_fault_under_mmap_lock(vmf: VmFault, order: Order) -> vm_fault_t:
    mm = vmf.vma.vm_mm
    mmap_read_lock(mm)
    fault = huge_fault(vmf, order)
    mmap_read_unlock(mm)
    return fault


mmap_lock_under_the_vma_lock = replace(
    design,
    name="mmap_lock_under_the_vma_lock",
    vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault_under_mmap_lock),
)


def test_a_handler_does_not_wait_for_mmap_lock_under_a_vma_lock() -> None:
    finding = told(first_fault, mmap_lock_under_the_vma_lock, RULE, "vcpu:5")

    assert finding.violation.evidence == (
        "vcpu holds vma 7f0000000000.vm_lock for read and waits for mm.mmap_lock.",
    )


def test_munmap_waits_for_the_vma_and_the_handler_for_munmap() -> None:
    told(munmap_vs_fault, mmap_lock_under_the_vma_lock, "no_deadlock", "vcpu:4,munmap:1",
         alone=True)  # fmt: skip
