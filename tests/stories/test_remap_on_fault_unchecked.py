"""remap_on_fault_unchecked: nobody asks whether the VMA is filled, nor whether it still may be.

The handler of v5.8 to v5.13.  Two first faults of one VMA fill it twice, and the second
meets BUG_ON(!pte_none()): cured by "vfio/pci: Handle concurrent vma faults", v5.14, whose
message shows the trace.

The same commit moved the remap under vma_lock, and so cured what it does not mention: a zap
that comes between the list and the remap takes an empty VMA off the list.  Found here; no
report of it is known.

vm_flags is written with mmap_lock held for read, which breaks a rule before all this does.
"""

from pfnlab import explore
from pfnlab.designs import remap_on_fault
from pfnlab.designs.remap_on_fault_unchecked import design
from pfnlab.scenarios.faults import two_faults
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "remap_fills_empty_ptes"
REACHABLE = "no_leaf_while_memory_disabled"


def test_two_first_faults_fill_one_vma_twice() -> None:
    finding = told(two_faults, design, RULE, "Vma.vm_flags!vcpu0:10,vcpu1:16,vcpu0:7", alone=True)

    assert finding.violation.evidence == ("pte 7f0000000000 -> pfn 3800000 is there already.",)


def test_a_zap_takes_the_vma_off_the_list_before_it_is_filled() -> None:
    finding = told(
        zap_vs_fault,
        design,
        REACHABLE,
        "Vma.vm_flags!vcpu:11,config:19,vcpu:6,config:3",
        alone=True,
    )

    assert len(finding.violation.evidence) == 4
    assert finding.trace.race is not None


def test_neither_is_left_once_the_remap_is_under_vma_lock() -> None:
    for scenario, rule in ((two_faults, RULE), (zap_vs_fault, REACHABLE)):
        assert explore(scenario, remap_on_fault.design, rules=[rule]).violation is None
