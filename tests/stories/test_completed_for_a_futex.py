"""huge_fault that drops mmap_lock itself when it is done, whoever asked.

A CPU and type1 allow that: they pass FAULT_FLAG_ALLOW_RETRY, and type1 looks the VMA up
again.  fault_in_user_writeable() gives fixup_user_fault() no `unlocked`, so the kernel
writes through a null pointer.  User space gets there with a futex in its BAR.
"""

from dataclasses import replace

import pytest

from pfnlab import Scenario, check
from pfnlab.designs import huge_fault
from pfnlab.kernel import *
from pfnlab.scenarios.dma import futex_on_bar, map_dma, map_dma_vs_disable, map_dma_vs_munmap
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "mmap_lock_dropped_only_if_allowed"


def page_fault(vmf: VmFault) -> vm_fault_t:
    fault = huge_fault.page_fault(vmf)
    if fault != VM_FAULT_NOPAGE:
        return fault
    mmap_read_unlock(vmf.vma.vm_mm)
    return VM_FAULT_NOPAGE | VM_FAULT_COMPLETED


completed_for_everybody = replace(
    huge_fault.design, name="completed_for_everybody", vm_ops=VmOperations(fault=page_fault)
)


def test_a_futex_does_not_allow_that_mmap_lock_is_dropped() -> None:
    finding = told(futex_on_bar, completed_for_everybody, RULE, "waker:9")

    assert finding.violation.evidence == (
        "VM_FAULT_NOPAGE | VM_FAULT_COMPLETED without FAULT_FLAG_ALLOW_RETRY.",
    )
    functions = [frame.function for frame in finding.trace.call_trace]
    assert functions[:4] == [
        "futex_wake_op", "fault_in_user_writeable", "fixup_user_fault", "handle_mm_fault",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("scenario", "schedules"),
    [(first_fault, 1), (map_dma, 1), (map_dma_vs_disable, 10), (map_dma_vs_munmap, 17)],
    ids=lambda value: getattr(value, "name", ""),
)
def test_all_others_look_the_vma_up_again(scenario: Scenario, schedules: int) -> None:
    assert check(scenario, completed_for_everybody).schedules == schedules
