"""mprotect() writes vm_flags while a zap reads them: a race on a word of which no bit matters.

A zap by unmap_mapping_range() holds the rmap lock, and mprotect() mmap_lock and the lock of
the VMA.  What tlb_start_vma() asks for is not changed by mprotect().
"""

from pfnlab import check, scenario
from pfnlab.designs.huge_fault import design
from pfnlab.designs.insert_page_on_fault_vma_list import design as with_a_list
from pfnlab.kernel import *
from pfnlab.kernel.vma import VM_READ
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_data_race"


@scenario
def mprotect_vs_disable(lab: Lab) -> None:
    """A filled mapping is made read-only while memory is turned off."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    lab.touch(mapping)

    @lab.task
    def vmm() -> None:
        lab.mprotect(mapping, VM_READ)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


def test_a_zap_without_mmap_lock_reads_the_flags_that_mprotect_writes() -> None:
    finding = told(mprotect_vs_disable, design, RULE, "vmm:2,config:4")

    assert "vm_flags" in finding.violation.evidence[0]


def test_a_zap_with_mmap_lock_waits() -> None:
    check(mprotect_vs_disable, with_a_list)
