"""huge_fault of a BAR whose halves its driver has mapped with two types.

track_pfn_insert() looks up the first page of a leaf.  A PMD leaf gives the second half the
type of the first; single pages would each have their own.  Read in the source of v6.12 and
v7.3; vfio-pci maps a BAR as a whole, so it does not meet this.
"""

from pfnlab import explore, scenario
from pfnlab.designs import insert_page_on_fault
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.bars import BAR_ADDRESS
from pfnlab.kernel.memtype import ioremap
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "reserved_type_is_that_of_the_first_page"


@scenario
def fault_in_a_bar_of_two_types(lab: Lab) -> None:
    """A vCPU touches a BAR: registers first, a frame buffer behind them."""
    half = (PAGE_SIZE << PMD_ORDER) // 2
    vdev = lab.vfio_device(2 * half, memtype=None)
    ioremap(BAR_ADDRESS, half, "UC-")
    ioremap(BAR_ADDRESS + half, half, "WC")
    mapping = lab.mmap(vdev)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)
        lab.touch(mapping, offset=half)

    lab.always(*RULES)


def test_a_pmd_leaf_has_the_type_of_its_first_page() -> None:
    finding = told(fault_in_a_bar_of_two_types, design, RULE, "vcpu:8")

    assert finding.violation.evidence == (
        "pmd 7f0000000000 -> pfn 3800000: pfn 3800002 is reserved as WC, the first one as UC-",
    )


def test_single_pages_have_their_own_types() -> None:
    assert explore(fault_in_a_bar_of_two_types, insert_page_on_fault.design).verdict == "ok"
