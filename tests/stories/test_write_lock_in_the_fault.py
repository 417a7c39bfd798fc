"""remap_on_fault that swaps mmap_lock for read against mmap_lock for write.

"[PATCH] vfio/pci: take mmap write lock for io_remap_pfn_range", Yan Zhao, 2023-05-08.
The flags are written under the right lock, and the VMA may be gone by then: munmap() runs
while nobody holds mmap_lock.  The patch was dropped.
"""

from dataclasses import replace

import pytest

from pfnlab import check
from pfnlab.designs.remap_on_fault import Device, design, mmap_close, mmap_fault, mmap_open
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault, two_faults
from pfnlab.scenarios.zaps import munmap_vs_fault
from tests.stories.story import told

RULE = "no_use_after_free"


def write_locked_fault(vmf: VmFault) -> vm_fault_t:
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
    device=Device,
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=write_locked_fault),
)


def test_the_vma_is_used_after_munmap_has_freed_it() -> None:
    finding = told(munmap_vs_fault, write_lock_in_the_fault, RULE, "vcpu:4,munmap:10,vcpu:2")

    assert finding.violation.task == "vcpu"
    assert "which has been freed" in finding.violation.evidence[0]


@pytest.mark.parametrize("scenario", [first_fault, two_faults], ids=lambda s: s.name)
def test_it_does_silence_the_splat(scenario: object) -> None:
    check(scenario, write_lock_in_the_fault)
