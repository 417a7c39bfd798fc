"""huge_fault that looks whether somebody else has mapped the page, and reads the pfn late.

After follow_pfnmap_end() the page-table lock is free, and the leaf may go.
"""

from dataclasses import replace

from pfnlab.designs import huge_fault
from pfnlab.kernel import *
from pfnlab.kernel.gup import FollowPfnmapArgs, follow_pfnmap_end, follow_pfnmap_start
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "pfnmap_used_before_its_end"


def page_fault(vmf: VmFault) -> vm_fault_t:
    fault = huge_fault.page_fault(vmf)
    args = FollowPfnmapArgs(vmf.vma, vmf.address)
    if not follow_pfnmap_start(args):
        follow_pfnmap_end(args)
        assert args.pfn
    return fault


pfn_after_the_end = replace(
    huge_fault.design, name="pfn_after_the_end", vm_ops=VmOperations(fault=page_fault)
)


def test_a_pfn_is_void_after_the_end() -> None:
    finding = told(first_fault, pfn_after_the_end, RULE, "vcpu:13")

    assert finding.violation.evidence == (
        "vcpu uses what was found at 7f0000000000, and holds nothing to it.",
    )
