"""huge_fault, but a fault says VM_FAULT_NOPAGE and has mapped nothing.

The CPU tries again, faults again, for ever: NOPAGE promises that somebody has filled the
slot.  remap_on_fault makes the same promise when it finds a VMA on vma_list.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "no_livelock"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vdev = vmf.vma.vm_private_data
    with vdev.memory_lock.read():
        return VM_FAULT_NOPAGE if vdev.memory_enabled else VM_FAULT_SIGBUS


nopage_without_mapping_anything = replace(
    design, name="nopage_without_mapping_anything", vm_ops=VmOperations(fault=page_fault)
)


def test_nopage_that_maps_nothing_is_a_livelock() -> None:
    finding = told(first_fault, nopage_without_mapping_anything, RULE, "vcpu:12")

    assert "vcpu will try again for ever" in finding.violation.evidence[0]
