"""Which design breaks which rule in which scenario.

The one place where verdicts are written down.  A pair that is not in the table holds; a
new scenario that breaks a design has to be put here, with the reason in a story.
"""

import pytest

from pfnlab import Design, Scenario, explore
from pfnlab.catalogue import all_designs, all_scenarios
from tests.conftest import Results

R3 = "mmap_assert_write_locked"
R7 = "no_use_after_free"
KEPT = "fault_lock_held_throughout"  # R7, as the caller is told
R9 = "mmap_lock_kept_with_retry_nowait"
R13 = "no_fs_reclaim_under_i_mmap"
R8 = "mmap_lock_dropped_only_if_allowed"
R11B = "oom_means_no_memory"
R16 = "leaf_maps_its_own_pfn"
L1 = "enabled_memory_is_reached"
D1 = "no_leaf_while_memory_disabled"
R12 = "documented_lock_order"
R31 = "memtype_freed_with_its_leaves"
RACE = "no_data_race"  # on vm_flags: R3, where no setter asserts it

BREAKS = {
    "remap_on_fault": {
        # The first fault of any mapping writes vm_flags; unless there is none, or memory is off.
        **{
            name: R3 for name in all_scenarios()
            if not name.startswith("dma_buf")
            and name not in ("interrupts_vs_fault", "mapping_that_grows")
        },
    },
    "remap_on_fault_unchecked": {
        # The remap sets VM_PAT with mmap_lock held for read, and vma_lock let go.
        "two_faults": RACE,
        "zap_vs_fault": RACE,
        "second_bar_vs_disable": RACE,
        "second_bar_vs_hot_reset": RACE,
        "disable_enable_vs_fault": RACE,
        "mmap_vs_disable": RACE,
        "fork_vs_disable": RACE,
        "child_touches_vs_disable": RACE,
        "map_dma_vs_disable": RACE,
        "futex_on_bar": RACE,
        # The zap of one page frees what PAT has reserved for all of them.
        "revoke_one_page": R31,
        "reset_vs_fault": RACE,
        "flr_vs_fault": RACE,
        "hot_reset_vs_fault": RACE,
        "d3_vs_fault": RACE,
        "low_power_vs_fault": RACE,
        "read_bar_vs_disable": RACE,
        "interrupts_vs_disable": RACE,
        "map_dma_vs_disable_enable": RACE,
        "guest_touch_vs_disable": RACE,
        "nowait_vs_disable": RACE,
        "nohugepage_vs_fault": RACE,
        "mmap_vs_reset": RACE,
        "munmap_of_half_vs_disable": RACE,
        "touch_and_exit_vs_disable": RACE,
        # What is cut off or moved is zapped, and the type of the rest is free.
        "munmap_in_a_pud": R31,
        "munmap_of_half_vs_fault": R31,
        "unaligned_mremap_vs_disable": R31,
    },
    "remap_on_mmap": {
        # Nothing maps again what the zap has taken away.
        "touch_after_enable": L1,
        # PAT finds what is freed by its end, and the head of a mapping has another.
        "mapping_without_its_head": R31,
        "mmap_vs_disable": D1,
        "mmap_vs_reset": D1,
        "munmap_of_half_vs_disable": RACE,
        "touch_and_exit_vs_disable": RACE,
        "unaligned_mremap_vs_disable": RACE,
        # The zap clears VM_PAT without mmap_lock.
        "fork_vs_disable": RACE,
        "child_touches_vs_disable": RACE,
        "map_dma_vs_disable": RACE,
        "revoke_one_page": R31,
        "map_dma_vs_disable_enable": RACE,
        "guest_touch_vs_disable": RACE,
    },
    "remap_on_enable": {
        "mapping_without_its_head": R31,
        "mmap_vs_disable": D1,
        "mmap_vs_reset": D1,
        "munmap_of_half_vs_disable": RACE,
        "touch_and_exit_vs_disable": RACE,
        "unaligned_mremap_vs_disable": RACE,
        "hot_reset_vs_disable": R12,
        # The zap of remap_on_mmap, which clears VM_PAT without mmap_lock.
        "fork_vs_disable": RACE,
        "child_touches_vs_disable": RACE,
        "map_dma_vs_disable": RACE,
        "revoke_one_page": R31,
        "map_dma_vs_disable_enable": RACE,
        "guest_touch_vs_disable": RACE,
        # Whatever lets memory decode again maps, and allocates tables under i_mmap_rwsem.
        "disable_enable_vs_fault": R13,
        "reset_vs_fault": R13,
        "flr_vs_fault": R13,
        "d3_vs_fault": R13,
        "low_power_vs_fault": R13,
        "touch_after_enable": R13,
        # It maps on one device while it still holds memory_lock of the other.
        "hot_reset_vs_fault": R12,
        "second_bar_vs_hot_reset": R13,
    },
    "remap_on_enable_locked": {
        "mapping_without_its_head": R31,
        "mmap_vs_disable": D1,
        "mmap_vs_reset": D1,
        "munmap_of_half_vs_disable": RACE,
        "touch_and_exit_vs_disable": RACE,
        "unaligned_mremap_vs_disable": RACE,
        "hot_reset_vs_disable": R12,
        "fork_vs_disable": RACE,
        "child_touches_vs_disable": RACE,
        "map_dma_vs_disable": RACE,
        "revoke_one_page": R31,
        "map_dma_vs_disable_enable": RACE,
        "guest_touch_vs_disable": RACE,
        # Whatever lets memory decode again takes mmap_lock inside memory_lock.
        "disable_enable_vs_fault": R12,
        "reset_vs_fault": R12,
        "flr_vs_fault": R12,
        "hot_reset_vs_fault": R12,
        "second_bar_vs_hot_reset": R12,
        "d3_vs_fault": R12,
        "low_power_vs_fault": R12,
        "touch_after_enable": R12,
    },
    "remap_on_enable_corrected": {
        "unaligned_mremap_vs_disable": RACE,  # as disable+mremap
    },
    "bulk_insert_on_fault": {
        "two_faults": R16,
        "nohugepage_vs_fault": R16,
        "unaligned_mremap_vs_disable": D1,
        "touch_last_page": R16,
        "mapping_that_moves": R16,  # its second page is touched first
        # A zap in the middle of type1's pages, and it faults again at d > 0.
        "map_dma_vs_disable": R16,
        "map_dma_vs_disable_enable": R16,
    },
    "insert_page_on_fault": {
        "unaligned_mremap_vs_disable": RACE,
    },
    "insert_page_on_fault_vma_list": {
        "unaligned_mremap_vs_disable": D1,
    },
    "write_lock_in_fault": {
        "nowait_vs_disable": R9,
        "munmap_in_a_pud": R31,
        "munmap_of_half_vs_fault": R31,
        "unaligned_mremap_vs_disable": R31,
        "munmap_of_half_vs_disable": RACE,
        "touch_and_exit_vs_disable": KEPT,
        "interrupts_vs_fault": KEPT,
        "munmap_vs_fault": R7,
        "map_dma_vs_munmap": R7,
        "guest_touch_vs_munmap": R7,
        "futex_on_bar": R8,
        "revoke_one_page": R31,
        "map_dma_vs_disable_enable": KEPT,
        "guest_touch_vs_disable": KEPT,
        "d3_vs_fault": KEPT,
        "low_power_vs_fault": KEPT,
        "read_bar_vs_disable": KEPT,
        "interrupts_vs_disable": KEPT,
        # With memory off the handler takes mmap_lock for read again, and says nothing.
        "zap_vs_fault": KEPT,
        "second_bar_vs_disable": KEPT,
        "disable_enable_vs_fault": KEPT,
        "mmap_vs_disable": KEPT,
        "fork_vs_disable": KEPT,
        "child_touches_vs_disable": KEPT,
        "map_dma_vs_disable": KEPT,
    },
    "huge_fault": {},
    "huge_fault_unaligned": {
        "two_faults": R11B,
        "unaligned_bar": R16,
        "unaligned_mremap_vs_disable": RACE,
    },
    "huge_fault_unrounded": {
        "two_faults": R11B,
        "unaligned_mremap_vs_disable": RACE,
    },
    "insert_vma_on_fault": {
        "unaligned_mremap_vs_disable": RACE,
    },
}  # fmt: skip


# The same for pairs and threes: the scenarios of each rule that a design breaks.
TOGETHER = {
    "remap_on_fault_unchecked": {
        RACE: """
            touch+touch touch+disable touch+reset touch+map_dma disable+munmap
            disable+map_dma disable+other reset+munmap reset+map_dma reset+other
            touch+disable+enable touch+disable+munmap touch+disable+fork
            touch+disable+reset touch+disable+other
        """,
        R31: """
            touch+mremap disable+mremap reset+mremap munmap+mremap mremap+fork mremap+exit
            mremap+map_dma touch+disable+mremap
        """,
    },
    "remap_on_mmap": {
        RACE: """
            disable+munmap disable+mremap disable+fork disable+exit disable+map_dma
            reset+munmap reset+mremap reset+fork reset+exit reset+map_dma
            touch+disable+munmap touch+disable+mremap touch+disable+fork disable+fork+exit
        """,
    },
    "bulk_insert_on_fault": {
        R16: """
            disable+map_dma reset+map_dma
        """,
        D1: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "insert_page_on_fault": {
        RACE: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "insert_page_on_fault_vma_list": {
        D1: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "write_lock_in_fault": {
        KEPT: """
            touch+disable touch+enable disable+map_dma disable+other enable+map_dma
            enable+other touch+disable+enable touch+disable+mremap touch+disable+fork
            touch+disable+reset touch+disable+other
        """,
        R7: """
            touch+munmap munmap+map_dma touch+disable+munmap
        """,
        R31: """
            touch+mremap disable+mremap reset+mremap munmap+mremap mremap+fork mremap+exit
            mremap+map_dma
        """,
        RACE: """
            disable+munmap reset+munmap reset+map_dma
        """,
    },
    "huge_fault_unaligned": {
        RACE: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "huge_fault_unrounded": {
        RACE: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "insert_vma_on_fault": {
        RACE: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "remap_on_enable": {
        RACE: """
            disable+munmap disable+mremap disable+fork disable+exit disable+map_dma
            reset+munmap reset+mremap reset+fork reset+exit reset+map_dma
            touch+disable+munmap touch+disable+mremap touch+disable+fork disable+fork+exit
        """,
        # Where the tables are there, enable+mremap and enable+fork break R18, enable+exit R22.
        R13: """
            touch+enable touch+reset disable+enable disable+reset enable+reset enable+munmap
            enable+mremap enable+fork enable+exit enable+map_dma enable+other reset+reset
            reset+other touch+disable+enable touch+disable+reset
        """,
    },
    "remap_on_enable_corrected": {
        RACE: """
            disable+mremap reset+mremap touch+disable+mremap
        """,
    },
    "remap_on_enable_locked": {
        R12: """
            touch+enable touch+reset disable+enable disable+reset enable+reset enable+munmap
            enable+mremap enable+fork enable+exit enable+map_dma enable+other reset+reset
            reset+other touch+disable+enable touch+disable+reset
        """,
        RACE: """
            disable+munmap disable+mremap disable+fork disable+exit disable+map_dma
            reset+munmap reset+mremap reset+fork reset+exit reset+map_dma
            touch+disable+munmap touch+disable+mremap touch+disable+fork disable+fork+exit
        """,
    },
}


def expected(design: Design, scenario: Scenario) -> str:
    for rule, names in TOGETHER.get(design.name, {}).items():
        if scenario.name in names.split():
            return rule
    return BREAKS[design.name].get(scenario.name, "ok")


@pytest.mark.slow
@pytest.mark.parametrize("scenario", all_scenarios().values(), ids=lambda s: s.name)
@pytest.mark.parametrize("design", all_designs().values(), ids=lambda d: d.name)
def test_a_pair_has_the_verdict_of_the_table(
    design: Design, scenario: Scenario, every_result: Results
) -> None:
    result = every_result[design.name, scenario.name]

    assert result is not None
    assert result.complete
    assert (result.violation.rule if result.violation is not None else "ok") == expected(
        design, scenario
    )


# On v6.9 fork opens a VMA before it copies page tables: whoever keeps a list loses the child.
KEEP_A_LIST = ["bulk_insert_on_fault", "insert_page_on_fault_vma_list", "write_lock_in_fault"]


@pytest.mark.parametrize("name", KEEP_A_LIST)
def test_a_list_of_vmas_does_not_survive_the_fork_of_v6_9(name: str) -> None:
    design = all_designs()[name]

    result = explore(all_scenarios()["fork_vs_disable"], design, kernel="v6.9", rules=["D1"])

    assert result.violation is not None
    assert result.violation.rule == D1


@pytest.mark.parametrize("design", all_designs().values(), ids=lambda d: d.name)
def test_the_docstring_of_a_design_begins_with_its_name(design: Design) -> None:
    assert design.docstring.startswith(f"{design.name}: ")


def test_every_design_that_ships_has_a_row() -> None:
    assert set(BREAKS) == set(all_designs())


def test_every_scenario_in_the_table_ships() -> None:
    assert {name for row in BREAKS.values() for name in row} <= set(all_scenarios())
