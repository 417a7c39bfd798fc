"""insert_page_on_fault that says VM_FAULT_OOM when the device is off.

x86 then asks for a victim and lets the task fault again; KVM ends the guest with -EFAULT.
Memory that is switched off is VM_FAULT_SIGBUS.
"""

from dataclasses import replace

from pfnlab.designs import insert_page_on_fault
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "oom_means_no_memory"


def page_fault(vmf: VmFault) -> vm_fault_t:
    fault = insert_page_on_fault.page_fault(vmf)
    return VM_FAULT_OOM if fault & VM_FAULT_ERROR else fault


oom_for_an_error = replace(
    insert_page_on_fault.design, name="oom_for_an_error", vm_ops=VmOperations(fault=page_fault)
)


def test_a_device_that_is_off_is_not_out_of_memory() -> None:
    finding = told(zap_vs_fault, oom_for_an_error, RULE, "config:8,vcpu:11")

    assert finding.violation.evidence == ("page_fault returns VM_FAULT_OOM.",)
