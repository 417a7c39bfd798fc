"""bulk_insert_on_fault: a loop that counts the index of the faulting page twice.

Yan Zhao, 2023-05-11, in the thread of "[PATCH] vfio/pci: take mmap write lock for
io_remap_pfn_range".  Right only for a fault on the first page.  type1 begins with that one,
so nobody met it; yet a zap at the wrong moment makes type1 fault a later page.  Put right
in d71a989cf5d9 ("vfio/pci: Insert full vma on mmap'd MMIO fault", v6.10).
"""

from pfnlab import check
from pfnlab.designs import insert_vma_on_fault
from pfnlab.designs.bulk_insert_on_fault import design
from pfnlab.scenarios.dma import map_dma, map_dma_vs_disable
from pfnlab.scenarios.faults import first_fault, two_faults
from pfnlab.scenarios.mmaps import touch_last_page
from tests.stories.story import told

RULE = "leaf_maps_its_own_pfn"
SHIFTED = "pte 7f0000000000 -> pfn 3800003: page 7f0000000000 must map pfn 3800000, not 3800003"


def test_a_first_touch_of_page_3_shifts_the_bar_by_3_pages() -> None:
    finding = told(touch_last_page, design, RULE, "vcpu:8")

    assert finding.violation.evidence == (SHIFTED,)


def test_it_takes_no_second_fault_to_see_it() -> None:
    finding = told(two_faults, design, RULE, "vcpu1:8")

    assert finding.violation.evidence == (SHIFTED,)


def test_a_fault_on_the_first_page_does_not_show_it() -> None:
    check(first_fault, design)
    check(map_dma, design)


def test_type1_faults_a_later_page_after_a_zap() -> None:
    finding = told(map_dma_vs_disable, design, RULE, "type1:19,config:12,type1:8")

    assert finding.violation.evidence == (
        "pte 7f0000000000 -> pfn 3800001: page 7f0000000000 must map pfn 3800000, not 3800001",
    )


def test_the_loop_that_was_merged_starts_with_the_pfn_of_vm_start() -> None:
    check(touch_last_page, insert_vma_on_fault.design)
