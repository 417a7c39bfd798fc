"""huge_fault that changes vm_flags in the fault, with a kernel whose setter asserts nothing.

The setter locks the VMA for write.  Only who holds mmap_lock for write may do that: with
mmap_lock held for read two of them could wait for each other.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.vma_lock import vma_start_write
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "vma_write_locked_under_mmap_lock"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma_start_write(vmf.vma)
    return VM_FAULT_SIGBUS


vma_locked_without_mmap_lock = replace(
    design, name="vma_locked_without_mmap_lock", vm_ops=VmOperations(fault=page_fault)
)


def test_a_vma_is_not_locked_for_write_under_mmap_lock_for_read() -> None:
    finding = told(first_fault, vma_locked_without_mmap_lock, RULE, "vcpu:8")

    assert finding.violation.evidence == ("vcpu holds mm.mmap_lock for read only.",)
