"""Which design breaks which rule in which scenario.

The one place where verdicts are written down.  A pair that is not in the table holds; a
new scenario that breaks a design has to be put here, with the reason in a story.
"""

import pytest

from pfnlab import Design, Scenario, explore
from pfnlab.catalogue import all_designs, all_scenarios

R3 = "mmap_assert_write_locked"
R7 = "no_use_after_free"
R8 = "mmap_lock_dropped_only_if_allowed"
R16 = "leaf_maps_its_own_pfn"
D1 = "no_leaf_while_memory_disabled"
RACE = "no_data_race"  # on vm_flags: R3, where no setter asserts it

BREAKS = {
    "remap_on_fault": {
        # The first fault of any mapping writes vm_flags.
        **dict.fromkeys(all_scenarios(), R3),
    },
    "remap_on_fault_unchecked": {
        # The remap sets VM_PAT with mmap_lock held for read, and vma_lock let go.
        "two_faults": RACE,
        "zap_vs_fault": RACE,
        "disable_enable_vs_fault": RACE,
        "mmap_vs_disable": RACE,
        "fork_vs_disable": RACE,
        "child_touches_vs_disable": RACE,
        "map_dma_vs_disable": RACE,
        "futex_on_bar": RACE,
    },
    "remap_on_mmap": {
        "mmap_vs_disable": D1,
        # The zap clears VM_PAT without mmap_lock.
        "fork_vs_disable": RACE,
        "child_touches_vs_disable": RACE,
        "map_dma_vs_disable": RACE,
    },
    "bulk_insert_on_fault": {
        "two_faults": R16,
        "touch_last_page": R16,
        # A zap in the middle of type1's pages, and it faults again at d > 0.
        "map_dma_vs_disable": R16,
    },
    "insert_page_on_fault": {},
    "insert_page_on_fault_vma_list": {},
    "write_lock_in_fault": {
        "munmap_vs_fault": R7,
        "map_dma_vs_munmap": R7,
        "futex_on_bar": R8,
        # The zap clears VM_PAT with mmap_lock held for read.
        "map_dma_vs_disable": RACE,
    },
    "huge_fault": {},
    "huge_fault_unaligned": {
        "unaligned_bar": R16,
    },
    "insert_vma_on_fault": {},
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("scenario", all_scenarios().values(), ids=lambda s: s.name)
@pytest.mark.parametrize("design", all_designs().values(), ids=lambda d: d.name)
def test_a_pair_has_the_verdict_of_the_table(design: Design, scenario: Scenario) -> None:
    result = explore(scenario, design)

    expected = BREAKS[design.name].get(scenario.name, "ok")
    assert result.complete
    assert (result.violation.rule if result.violation is not None else "ok") == expected


# On v6.9 fork opens a VMA before it copies page tables: whoever keeps a list loses the child.
KEEP_A_LIST = ["bulk_insert_on_fault", "insert_page_on_fault_vma_list", "write_lock_in_fault"]


@pytest.mark.parametrize("name", KEEP_A_LIST)
def test_a_list_of_vmas_does_not_survive_the_fork_of_v6_9(name: str) -> None:
    design = all_designs()[name]

    result = explore(all_scenarios()["fork_vs_disable"], design, kernel="v6.9")

    assert result.violation is not None
    assert result.violation.rule == D1


@pytest.mark.parametrize("design", all_designs().values(), ids=lambda d: d.name)
def test_the_docstring_of_a_design_begins_with_its_name(design: Design) -> None:
    assert design.docstring.startswith(f"{design.name}: ")


def test_every_design_that_ships_has_a_row() -> None:
    assert set(BREAKS) == set(all_designs())


def test_every_scenario_in_the_table_ships() -> None:
    assert {name for row in BREAKS.values() for name in row} <= set(all_scenarios())
