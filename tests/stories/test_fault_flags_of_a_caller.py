"""A caller of handle_mm_fault() with flags that no caller may pass together."""

import pytest

from pfnlab.designs.huge_fault import design
from pfnlab.engine.program import Scenario
from pfnlab.kernel import *
from pfnlab.kernel.fault import handle_mm_fault
from pfnlab.kernel.fault_codes import FaultFlag
from pfnlab.kernel.vma import find_vma
from tests.stories.story import told

RULE = "fault_flags_go_together"


def fault_with(flags: FaultFlag) -> Scenario:
    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())

        @lab.task
        def caller() -> None:
            mmap_read_lock(mapping.mm)
            vma = find_vma(mapping.mm, mapping.address)
            assert vma is not None
            handle_mm_fault(vma, mapping.address, flags)

    return Scenario("fault_flags", "The kernel faults a page in.", build)


@pytest.mark.parametrize(
    ("flags", "why"),
    [
        (FAULT_FLAG_TRIED, "a fault that was tried has FAULT_FLAG_ALLOW_RETRY"),
        (
            FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT | FAULT_FLAG_VMA_LOCK,
            "VM_FAULT_RETRY always drops the lock of a VMA",
        ),
    ],
)
def test_flags_that_do_not_go_together(flags: FaultFlag, why: str) -> None:
    finding = told(fault_with(flags), design, RULE, "caller:2")

    assert why in finding.violation.evidence[0]
