"""huge_fault that waits for memory to come back, by looking again and again.

The handler holds mmap_lock while it polls.  It makes steps, so it is no deadlock; if
memory stays off it never ends.
"""

from dataclasses import replace

import pytest

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "every_task_ends"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    while True:
        with vdev.memory_lock.read():
            if vdev.memory_enabled:
                return vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))


polling_for_memory = replace(
    design, name="polling_for_memory", vm_ops=VmOperations(fault=page_fault)
)


@pytest.mark.slow
def test_a_fault_that_polls_never_ends_while_memory_is_off() -> None:
    finding = told(zap_vs_fault, polling_for_memory, RULE, "config:8,vcpu:41", step_limit=40)

    assert finding.violation.evidence == (
        "vcpu has made more than 40 steps. It repeats its last 3 steps, with the same results.",
    )
