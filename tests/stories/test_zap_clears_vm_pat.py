"""remap_on_mmap: a zap clears VM_PAT with the rmap lock only, and somebody reads the flags.

Up to v6.15 every zap of a tracked VMA ended in untrack_pfn(), which cleared VM_PAT with
mmap_lock held for read, or not at all; from v6.3 on by __vm_flags_mod(), which asserts nothing.
Said by Peter Xu in the thread of "[PATCH] vfio/pci: take mmap write lock for
io_remap_pfn_range", 2024-05-23.  Cured in v6.16 ("mm: rewrite pfnmap tracking and remove
VM_PAT").
"""

from pfnlab import explore
from pfnlab.designs.remap_on_mmap import design
from pfnlab.scenarios.forks import fork_vs_disable
from tests.stories.story import told

RULE = "no_data_race"


def test_a_fork_copies_the_flags_while_a_zap_clears_one() -> None:
    finding = told(fork_vs_disable, design, RULE, "parent:5,config:6")

    assert finding.violation.evidence[0].startswith("config writes vma 7f0000000000.vm_flags")


def test_from_v6_16_on_there_is_no_flag_to_clear() -> None:
    assert explore(fork_vs_disable, design, kernel="v6.16").verdict == "ok"
