"""huge_fault, but memory_enabled is tested before memory_lock is taken.

The test is worth nothing when the lock is there at last.  The plain read also races
with the write of PCI_COMMAND, and that is seen first.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_data_race"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    if not vdev.memory_enabled:
        return VM_FAULT_SIGBUS
    with vdev.memory_lock.read():
        return vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))


enabled_tested_before_the_lock = replace(
    design, name="enabled_tested_before_the_lock", vm_ops=VmOperations(fault=page_fault)
)


def test_memory_enabled_read_without_the_lock_is_a_data_race() -> None:
    finding = told(zap_vs_fault, enabled_tested_before_the_lock, RULE, "vcpu:8,config:7")

    assert "vdev.memory_enabled is guarded by memory_lock." in finding.violation.evidence
