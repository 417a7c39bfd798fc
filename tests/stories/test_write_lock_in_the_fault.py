"""write_lock_in_fault: the VMA is used after mmap_lock was let go.

"[PATCH] vfio/pci: take mmap write lock for io_remap_pfn_range", Yan Zhao, 2023-05-08.
The flags are written under the right lock, and the VMA may be gone by then: munmap() runs
while nobody holds mmap_lock.  "Certainly not.." (Jason Gunthorpe); the patch was dropped.
"""

from dataclasses import replace

import pytest

from pfnlab import check
from pfnlab.designs.remap_on_fault import mmap_close, mmap_fault, mmap_open
from pfnlab.designs.write_lock_in_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault, two_faults
from pfnlab.scenarios.zaps import munmap_vs_fault
from tests.stories.story import told

RULE = "no_use_after_free"


def test_the_vma_is_freed_while_the_handler_uses_it() -> None:
    finding = told(munmap_vs_fault, design, RULE, "vcpu:4,munmap:14")

    assert finding.violation.evidence == (
        "munmap frees vma 7f0000000000 in step 18; vcpu used it after step 4, and no lock orders "
        "the two.",
    )


def fault_that_keeps_the_mm(vmf: VmFault) -> vm_fault_t:
    mm = vmf.vma.vm_mm
    mmap_read_unlock(mm)
    if mmap_write_lock_killable(mm):
        return VM_FAULT_RETRY
    fault = mmap_fault(vmf)
    mmap_write_unlock(mm)
    if fault & VM_FAULT_NOPAGE:
        return fault | VM_FAULT_COMPLETED
    mmap_read_lock(mm)
    return fault


write_lock_in_the_fault = replace(
    design,
    name="write_lock_in_the_fault",
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=fault_that_keeps_the_mm),
)


def test_to_keep_the_mm_in_a_variable_does_not_help() -> None:
    finding = told(munmap_vs_fault, write_lock_in_the_fault, RULE, "vcpu:4,munmap:14,vcpu:2")

    assert finding.violation.task == "vcpu"
    assert "which has been freed" in finding.violation.evidence[0]


@pytest.mark.parametrize("scenario", [first_fault, two_faults], ids=lambda s: s.name)
def test_it_does_silence_the_splat(scenario: object) -> None:
    check(scenario, design)
