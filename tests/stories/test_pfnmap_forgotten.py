"""huge_fault whose mmap hook forgets VM_PFNMAP.

Without it the kernel would look for a struct page under the leaf: vmf_insert_pfn() meets
BUG_ON().
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "insert_into_a_pfn_mapping"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_DONTEXPAND | VM_DONTDUMP)
    return 0


pfnmap_forgotten = replace(design, name="pfnmap_forgotten", mmap=mmap)


def test_a_pfn_may_not_be_inserted_without_vm_pfnmap() -> None:
    finding = told(first_fault, pfnmap_forgotten, RULE, "vcpu:8")

    assert finding.violation.evidence == ("vma 7f0000000000 has neither.",)
