"""remap_on_mmap: a zap between the populate and the link finds no VMA.

->mmap runs before the VMA is linked into i_mmap.  Named by Jason Gunthorpe on 2024-05-22
in the thread of "[PATCH] vfio/pci: take mmap write lock for io_remap_pfn_range": "a window
where the VMA is populated but invisible to unmap_mapping_range()".  Alex Williamson's branch
(https://github.com/awilliam/linux-vfio, vfio-address-space) had it.
"""

from pfnlab import check
from pfnlab.designs import huge_fault
from pfnlab.designs.remap_on_mmap import design
from pfnlab.scenarios.mmaps import mmap_vs_disable
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def test_a_disable_before_the_link_leaves_the_whole_bar_mapped() -> None:
    finding = told(mmap_vs_disable, design, RULE, "vmm:8,config:5")

    assert finding.violation.evidence == (
        "pte 7e0000000000 -> pfn 3800000",
        "pte 7e0000001000 -> pfn 3800001",
        "pte 7e0000002000 -> pfn 3800002",
        "pte 7e0000003000 -> pfn 3800003",
    )


def test_a_design_that_maps_on_fault_does_not_have_it() -> None:
    check(mmap_vs_disable, huge_fault.design)
