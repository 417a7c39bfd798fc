"""huge_fault that trusts, after it let memory_lock go, what it saw while it held it.

The handler asserts that memory is still enabled when it returns.  It need not be: only the lock
kept COMMAND.MEM as it was.  The leaf is gone again by then, so the kernel's rules all hold.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "assertion"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        ret = vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))
    with vdev.memory_lock.read():
        assert vdev.memory_enabled, "memory was switched off"
    return ret


enabled_asserted_after_the_lock = replace(
    design, name="enabled_asserted_after_the_lock", vm_ops=VmOperations(fault=page_fault)
)


def test_memory_may_be_off_when_the_handler_returns() -> None:
    finding = told(zap_vs_fault, enabled_asserted_after_the_lock, RULE, "vcpu:11,config:8,vcpu:3")

    assert finding.violation.evidence == ("vcpu: memory was switched off",)
    assert [hold.lock for hold in finding.trace.held["vcpu"]][-1] == "vdev.memory_lock"
