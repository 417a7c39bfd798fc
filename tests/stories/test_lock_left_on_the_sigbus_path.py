"""huge_fault with goto instead of `with`, and the SIGBUS path goes past the unlock.

The task gets its signal with memory_lock still held; the next write of PCI_COMMAND would
wait for ever.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_lock_held_in_user_space"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    down_read(vdev.memory_lock)
    if not vdev.memory_enabled:
        return VM_FAULT_SIGBUS
    fault = vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))
    up_read(vdev.memory_lock)
    return fault


lock_left_on_the_sigbus_path = replace(
    design, name="lock_left_on_the_sigbus_path", vm_ops=VmOperations(fault=page_fault)
)


def test_a_lock_left_on_the_sigbus_path_reaches_user_space() -> None:
    finding = told(zap_vs_fault, lock_left_on_the_sigbus_path, RULE, "config:8,vcpu:11")

    assert finding.violation.evidence == ("vcpu holds vdev.memory_lock for read (step 16).",)
