"""remap_on_fault met by type1, as it was reported: MAP_DMA of a BAR that nobody touched.

"[PATCH] vfio/pci: take mmap write lock for io_remap_pfn_range" (Yan Zhao, LKML,
2023-05-08): vaddr_get_pfns() takes mmap_lock for read, and faults the BAR in.
"""

from pfnlab.designs.remap_on_fault import design
from pfnlab.scenarios.dma import map_dma
from tests.stories.story import told

RULE = "mmap_assert_write_locked"
SCHEDULE = "type1:11"


def test_a_dma_map_of_a_fresh_bar_writes_vm_flags_with_mmap_lock_held_for_read() -> None:
    finding = told(map_dma, design, RULE, SCHEDULE)

    assert finding.violation.sentence == (
        "vm_flags_set(vma, VM_PAT) needs mm.mmap_lock held for write."
    )
    assert finding.violation.evidence == ("type1 holds it for read since step 2.",)


def test_the_call_trace_is_that_of_the_report() -> None:
    finding = told(map_dma, design, RULE, SCHEDULE)

    assert [frame.function for frame in finding.trace.call_trace] == [
        "vfio_dma_do_map", "vfio_pin_map_dma", "vfio_pin_pages_remote", "vaddr_get_pfns",
        "follow_fault_pfn", "fixup_user_fault", "handle_mm_fault", "__handle_mm_fault",
        "handle_pte_fault", "do_fault", "do_shared_fault", "__do_fault", "mmap_fault",
        "io_remap_pfn_range", "remap_pfn_range", "track_pfn_remap", "vm_flags_set",
        "mmap_assert_write_locked",
    ]  # fmt: skip
