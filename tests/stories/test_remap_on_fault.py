"""remap_on_fault as it shipped: a fault writes vm_flags with mmap_lock held for read.

The lockdep splat of "[PATCH] vfio/pci: take mmap write lock for io_remap_pfn_range" (Yan
Zhao, 2023-05-08), met again in many backports, such as
https://github.com/intel-gpu/xekmd-backports/pull/274.  Cured by aac6db75a9fc ("vfio/pci:
Use unmap_mapping_range()", v6.10) and d71a989cf5d9 ("vfio/pci: Insert full vma on mmap'd
MMIO fault", v6.10).
"""

import pytest

from pfnlab import Scenario, explore
from pfnlab.catalogue import all_scenarios
from pfnlab.designs.remap_on_fault import design
from pfnlab.scenarios.faults import first_fault
from tests.stories.story import told

RULE = "mmap_assert_write_locked"
SCHEDULE = "vcpu:13"


def test_the_first_fault_sets_vm_pat_with_mmap_lock_held_for_read() -> None:
    finding = told(first_fault, design, RULE, SCHEDULE)

    assert finding.violation.sentence == (
        "vm_flags_set(vma, VM_PAT) needs mm.mmap_lock held for write."
    )
    assert finding.violation.evidence == ("vcpu holds it for read since step 6.",)


def test_the_call_trace_is_that_of_the_splat() -> None:
    finding = told(first_fault, design, RULE, SCHEDULE)

    functions = [frame.function for frame in finding.trace.call_trace]
    splat = ["handle_mm_fault", "__handle_mm_fault", "do_fault", "__do_fault", "mmap_fault",
             "io_remap_pfn_range", "remap_pfn_range", "track_pfn_remap",
             "vm_flags_set"]  # fmt: skip
    assert [name for name in functions if name in splat] == splat


# Where memory is off in the beginning, somebody has to turn it on first; some have no fault.
NO_FAULT = ("dma_buf_vs_disable", "dma_buf_vs_reset", "interrupts_vs_fault",
            "mapping_that_grows")  # fmt: skip
ENABLED = [
    scenario
    for name, scenario in all_scenarios().items()
    if "enable" not in name.split("+") and name not in NO_FAULT
]


@pytest.mark.parametrize("scenario", ENABLED, ids=lambda s: s.name)
def test_no_scenario_needs_more_than_one_fault_of_one_task_for_it(scenario: Scenario) -> None:
    result = explore(scenario, design)

    assert result.violation is not None
    assert result.violation.rule == RULE
    assert "," not in result.schedule
