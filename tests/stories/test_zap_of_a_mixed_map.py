"""zap_vma_ptes() of a VMA with VM_MIXEDMAP: it does nothing, and says nothing.

It is for VM_PFNMAP.  A design whose inserter would take either flag must not choose the other.
"""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs.insert_page_on_fault_vma_list import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP)
    return 0


def test_the_zap_of_a_mixed_map_leaves_all_where_it_is() -> None:
    told(zap_vs_fault, replace(design, name="mixed_map", mmap=mmap), RULE, "vcpu:11,config:16")


def test_a_pfn_map_is_emptied() -> None:
    check(zap_vs_fault, design)
