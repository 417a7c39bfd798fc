"""A VMA without VM_DONTEXPAND: mremap() makes it larger than the window that mmap() checked.

VM_PFNMAP forbids it by itself; a design with VM_MIXEDMAP must remember the flag.
"""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.mmaps import mapping_that_grows
from tests.stories.story import told

RULE = "leaf_lies_in_its_bar"


def mmap_without_dontexpand(vdev: VfioPciDevice, vma: Vma) -> Errno:
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTDUMP)
    return 0


def mmap_of_mixed_map(vdev: VfioPciDevice, vma: Vma) -> Errno:
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_MIXEDMAP | VM_DONTEXPAND | VM_DONTDUMP)
    return 0


def test_a_fault_behind_the_bar_maps_what_is_there() -> None:
    may_grow = replace(design, name="may_grow", mmap=mmap_without_dontexpand)
    finding = told(mapping_that_grows, may_grow, RULE, "vcpu:29")

    assert finding.violation.evidence == (
        "pmd 3f8000004000 -> pfn 3800004 maps up to pfn 3800008, and the BAR ends at 3800004",
    )


def test_a_mapping_that_may_not_grow_stays_as_it_is() -> None:
    check(mapping_that_grows, replace(design, name="mixed_map", mmap=mmap_of_mixed_map))
    check(mapping_that_grows, design)
