"""huge_fault_unrounded: a page is wanted where somebody else installs the PMD.

09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn", v6.13) asks for a touched
address that is the first of the PMD.  A touch of another page maps that page, and finds no
table for it where a touch of the first page was faster.  VM_FAULT_OOM ends the virtual
machine: https://bugzilla.kernel.org/show_bug.cgi?id=220057.  Cured by c1d9dac0db16
("vfio/pci: Align huge faults to order", v6.15).
"""

import pytest

from pfnlab import Design, check
from pfnlab.designs import huge_fault
from pfnlab.designs.huge_fault_unaligned import design as huge_fault_unaligned
from pfnlab.designs.huge_fault_unrounded import design as huge_fault_unrounded
from pfnlab.scenarios.faults import two_faults
from pfnlab.scenarios.mmaps import unaligned_bar
from tests.stories.story import told

RULE = "oom_means_no_memory"


@pytest.mark.parametrize("design", [huge_fault_unaligned, huge_fault_unrounded])
def test_a_page_under_a_pmd_that_was_faster_has_no_table(design: Design) -> None:
    finding = told(two_faults, design, RULE, "vcpu1:12,vcpu0:7,vcpu1:3")

    assert finding.violation.evidence == ("page_fault returns VM_FAULT_OOM.",)


def test_a_window_at_page_1_shows_page_1() -> None:
    check(unaligned_bar, huge_fault_unrounded)


def test_huge_fault_of_today_rounds_and_both_ask_for_the_pmd() -> None:
    check(two_faults, huge_fault.design)
