"""remap_on_mmap, and one page of the mapping is taken back.

Up to v6.15 a zap of any part of a VMA frees what PAT has reserved for all of it: the other
pages stay mapped, and nothing keeps somebody else from reserving another type for them.
Peter Xu posted "Only untrack the pfn range if unmap region" on 2024-05-23, as an RFC; v6.16
frees with the last VMA instead ("mm: rewrite pfnmap tracking and remove VM_PAT").
"""

from pfnlab import explore
from pfnlab.designs import huge_fault
from pfnlab.designs.remap_on_mmap import design
from pfnlab.scenarios.pat import revoke_one_page
from tests.stories.story import told

RULE = "memtype_freed_with_its_leaves"


def test_the_rest_of_the_mapping_outlives_its_reservation() -> None:
    finding = told(revoke_one_page, design, RULE, "vcpu:5")

    assert finding.violation.evidence == (
        "pte 7f0000000000 -> pfn 3800000 stays; 7f0000001000..7f0000001fff of vma 7f0000000000 "
        "is zapped.",
    )


def test_from_v6_16_on_a_zap_frees_nothing() -> None:
    assert explore(revoke_one_page, design, kernel="v6.16").verdict == "ok"


def test_a_design_that_inserts_reserves_nothing() -> None:
    assert explore(revoke_one_page, huge_fault.design, kernel="v6.12").verdict == "ok"
