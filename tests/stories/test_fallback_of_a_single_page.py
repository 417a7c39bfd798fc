"""huge_fault with the alignment check but not its `order == 0`.

A fault of one page has nothing to fall back to.  fixup_user_fault() has no number for
VM_FAULT_FALLBACK and meets BUG().
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "fallback_only_from_huge_fault"


def huge_fault(vmf: VmFault, order: int) -> vm_fault_t:
    return VM_FAULT_FALLBACK


def page_fault(vmf: VmFault) -> vm_fault_t:
    return huge_fault(vmf, 0)


fallback_of_a_single_page = replace(
    design,
    name="fallback_of_a_single_page",
    vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault),
)


def test_fallback_may_not_leave_the_fault_of_one_page() -> None:
    finding = told(first_fault, fallback_of_a_single_page, RULE, "vcpu:11")

    assert finding.violation.evidence == ("page_fault returns VM_FAULT_FALLBACK.",)
