"""huge_fault that inserts the whole VMA, with an index counted twice.

The loop that Yan Zhao tried in the thread of 2023-05: from vm_start to vm_end, with the
pfn of the faulting page plus the index of the page.  Right only for a fault on the first
page, and type1 always faults that one.  The loop of d71a989cf5d9 ("vfio/pci: Insert full
vma on mmap'd MMIO fault", v6.10) starts with the pfn of vm_start.
"""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault, two_faults
from tests.stories.story import told

RULE = "leaf_maps_its_own_pfn"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        pfn = vdev.bar_pfn(vmf.pgoff)
        for page in range(vma.size >> PAGE_SHIFT):
            fault = vmf_insert_pfn(vma, vma.vm_start + (page << PAGE_SHIFT), pfn + page)
        return fault


bulk_insert = replace(design, name="bulk_insert", vm_ops=VmOperations(fault=page_fault))


def test_a_fault_on_the_last_page_shifts_the_whole_bar() -> None:
    finding = told(two_faults, bulk_insert, RULE, "vcpu1:6")

    assert finding.violation.evidence == (
        "pte 7f0000000000 -> pfn 3800003: page 7f0000000000 must map pfn 3800000, not 3800003",
    )


def test_a_fault_on_the_first_page_does_not_show_it() -> None:
    check(first_fault, bulk_insert)
