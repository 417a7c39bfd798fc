"""huge_fault with a kernel verb inside the `with` that already has it.

memory_lock is let go by hand on the SIGBUS path, and by the block once more.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "lock_balance"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            up_read(vdev.memory_lock)
            return VM_FAULT_SIGBUS
        return vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))


lock_released_twice = replace(
    design, name="lock_released_twice", vm_ops=VmOperations(fault=page_fault)
)


def test_a_lock_cannot_be_released_twice() -> None:
    finding = told(zap_vs_fault, lock_released_twice, RULE, "config:8,vcpu:11")

    assert finding.violation.evidence == (
        "vcpu calls up_read for vdev.memory_lock and does not hold it.",
    )
