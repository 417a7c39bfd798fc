"""huge_fault that drops mmap_lock, then looks whether somebody else has mapped the page.

Without a lock the page tables may be freed under the walk, and the pfn is worth nothing.
"""

from dataclasses import replace

from pfnlab.designs import huge_fault
from pfnlab.kernel import *
from pfnlab.kernel.gup import FollowPfnmapArgs, follow_pfnmap_start
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "pfnmap_lookup_under_lock"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    if vmf.flags & FAULT_FLAG_TRIED:
        return huge_fault.page_fault(vmf)
    mmap_read_unlock(vma.vm_mm)
    error = follow_pfnmap_start(FollowPfnmapArgs(vma, vmf.address))
    return VM_FAULT_RETRY if error else VM_FAULT_NOPAGE | VM_FAULT_COMPLETED


lookup_after_the_lock = replace(
    huge_fault.design, name="lookup_after_the_lock", vm_ops=VmOperations(fault=page_fault)
)


def test_a_pfn_is_looked_up_only_with_a_lock() -> None:
    finding = told(first_fault, lookup_after_the_lock, RULE, "vcpu:9")

    assert finding.violation.evidence == (
        "vcpu holds neither mm.mmap_lock nor vdev.mapping.i_mmap_rwsem.",
    )
