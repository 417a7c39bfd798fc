"""huge_fault of a BAR that its driver has mapped write-through: a PMD leaf is uncached.

The PAT bit is bit 7 of a PTE and bit 12 of a larger leaf.  The inserters put the bits of a
PTE into every leaf; bit 7 of a large one says that it is a leaf, and bit 12 stays 0.
vfio-pci does not meet this: it maps its BARs UC-, and WB, WC, UC- and UC need no PAT bit.
Peter Xu posted "Do proper PAT bit shift for large mappings" on 2024-05-23, as an RFC; v7.3
does not shift.
"""

import pytest

from pfnlab import explore, scenario
from pfnlab.designs import insert_page_on_fault
from pfnlab.designs.huge_fault import design
from pfnlab.engine.program import Scenario
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "leaf_has_the_type_asked_for"


def fault_in_a_bar_mapped(memtype: str) -> Scenario:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(memtype=memtype)
        mapping = lab.mmap(vdev)
        lab.add_task("vcpu", lambda: lab.touch(mapping) and None)
        lab.always(*RULES)

    return Scenario(f"fault_{memtype}", "A vCPU touches a BAR.", build)


@scenario
def fault_in_a_write_through_bar(lab: Lab) -> None:
    """A vCPU touches a BAR that its driver has mapped write-through."""
    vdev = lab.vfio_device(memtype="WT")
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    lab.always(*RULES)


def test_a_write_through_pmd_is_uncached() -> None:
    finding = told(fault_in_a_write_through_bar, design, RULE, "vcpu:8")

    assert finding.violation.evidence == (
        "pmd 7f0000000000 -> pfn 3800000 is meant to be WT, and is UC",
    )


def test_single_pages_are_write_through() -> None:
    assert explore(fault_in_a_write_through_bar, insert_page_on_fault.design).verdict == "ok"


@pytest.mark.parametrize("memtype", ["WB", "WC", "UC-", "UC"])
def test_the_types_that_need_no_pat_bit_are_right(memtype: str) -> None:
    assert explore(fault_in_a_bar_mapped(memtype), design).verdict == "ok"
