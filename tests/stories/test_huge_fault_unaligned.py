"""huge_fault_unaligned: a PMD leaf for a pfn that is not aligned.

f9e54c3a2f5b ("vfio/pci: implement huge_fault support", v6.12) asks for an aligned address
only.  The leaf drops the low bits of the pfn.
https://bugzilla.kernel.org/show_bug.cgi?id=219619: artefacts on a display.  Cured by
09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn", v6.13).
"""

from pfnlab import check
from pfnlab.designs import huge_fault
from pfnlab.designs.huge_fault_unaligned import design
from pfnlab.scenarios.mmaps import mapping_of_part, unaligned_bar
from tests.stories.story import told

RULE = "leaf_maps_its_own_pfn"


def test_a_window_at_page_1_shows_page_0() -> None:
    finding = told(unaligned_bar, design, RULE, "vcpu:8")

    assert finding.violation.evidence == (
        "pmd 7f0000000000 -> pfn 3800000: page 7f0000000000 must map pfn 3800001, not 3800000",
    )


def test_an_address_congruent_to_the_pfn_hides_it() -> None:
    check(mapping_of_part, design)


def test_huge_fault_of_today_falls_back() -> None:
    check(unaligned_bar, huge_fault.design)
