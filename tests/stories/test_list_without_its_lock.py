"""remap_on_fault that inserts page by page, and looks at vma_list before it takes vma_lock.

An early return for the usual case, that the VMA is filled: the list is read while
another fault appends to it.
"""

from dataclasses import replace

from pfnlab.designs.remap_on_fault import design, mmap_close, mmap_open
from pfnlab.kernel import *
from pfnlab.scenarios.faults import two_faults
from tests.stories.story import told

RULE = "no_data_race"


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    if vma in vdev.vma_list:
        return VM_FAULT_NOPAGE
    with vdev.vma_lock, vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        for page in range(vma.size >> PAGE_SHIFT):
            vmf_insert_pfn(vma, vma.vm_start + (page << PAGE_SHIFT), vma.vm_pgoff + page)
        if vma not in vdev.vma_list:
            vdev.vma_list.append(vma)
        return VM_FAULT_NOPAGE


list_without_its_lock = replace(
    design,
    name="list_without_its_lock",
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
)


def test_the_list_is_read_while_another_fault_appends() -> None:
    finding = told(two_faults, list_without_its_lock, RULE, "vcpu0:8,vcpu1:17")

    assert "vdev.vma_list" in finding.violation.evidence[0]
