"""huge_fault that says VM_FAULT_SIGSEGV when the device is off.

User space that expects SIGBUS from a BAR, as QEMU does, ends; SIGSEGV is a wrong address.
"""

from dataclasses import replace

from pfnlab.designs import huge_fault
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "handler_fails_with_sigbus"


def page_fault(vmf: VmFault) -> vm_fault_t:
    fault = huge_fault.page_fault(vmf)
    return VM_FAULT_SIGSEGV if fault & VM_FAULT_SIGBUS else fault


segfault = replace(
    huge_fault.design, name="segfault", vm_ops=VmOperations(fault=page_fault)
)  # fmt: skip


def test_memory_that_is_off_is_no_wrong_address() -> None:
    finding = told(zap_vs_fault, segfault, RULE, "config:8,vcpu:11")

    assert finding.violation.evidence == ("page_fault returns VM_FAULT_SIGSEGV.",)
