"""The catalogue of races that a checker must know, by number: what here is which.

Where the catalogue has a number and no row, the row is of our making ("own").
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Numbered:
    """One row: who does what, where it is searched, and what there is to say.

    `scenarios` ship; `stories` are files of tests/stories, without test_ and .py.
    """

    sentence: str
    scenarios: str = ""
    stories: str = ""
    own: bool = False


NUMBERS = {
    "S1": Numbered("one fault", "first_fault", "remap_on_fault"),
    "S2": Numbered("a fault without ALLOW_RETRY", "futex_on_bar", "completed_for_a_futex"),
    "S3": Numbered("a fault with RETRY_NOWAIT", "nowait_vs_disable", "lock_dropped_with_nowait"),
    "S4": Numbered("a fault; munmap of its VMA", "munmap_vs_fault", "write_lock_in_the_fault"),
    "S5": Numbered("a fault; mremap of its VMA", "touch+mremap", own=True),
    "S6": Numbered("a fault; exit of the other thread", "exit_vs_fault", own=True),
    "S7": Numbered(
        "a fault under the lock of its VMA",
        "first_fault",
        "mmap_lock_dropped_under_the_vma_lock mmap_lock_under_the_vma_lock",
    ),
    "S8": Numbered("a fault at page d > 0", "touch_last_page", "bulk_insert"),
    "S9": Numbered("two first faults of one VMA", "two_faults", "concurrent_first_faults"),
    "S10": Numbered("a fault; memory off", "zap_vs_fault", "enabled_tested_before_the_lock"),
    "S11": Numbered(
        "a child touches what it got by fork; memory off",
        "fork_vs_disable child_touches_vs_disable",
        "fork_opens_before_it_copies",
    ),
    "S12": Numbered("munmap of a part; memory off", "munmap_of_half_vs_disable", own=True),
    "S13": Numbered("an mmap that populates; memory off", "mmap_vs_disable", "populate_in_mmap"),
    "S14": Numbered("an mmap that populates; a reset", "mmap_vs_reset", own=True),
    "S15": Numbered(
        "memory on again; a fault, or an mmap that takes memory_lock",
        "disable_enable_vs_fault touch+enable",
        "remap_on_enable_locked",
    ),
    "S16": Numbered("a reset of two devices; memory off", "hot_reset_vs_disable", own=True),
    "S17": Numbered(
        "interrupts set up with memory off; a fault",
        "interrupts_vs_fault interrupts_vs_disable",
        own=True,
    ),
    "S18": Numbered("a reset of two devices; a fault on one", "hot_reset_vs_fault"),
    "S19": Numbered("memory on again; an exit", "enable+exit", "remap_on_enable", own=True),
    "S20": Numbered("a bus walk that copies to user space", "", "hot_reset_info_in_the_walk"),
    "S21": Numbered("a window at an odd page", "unaligned_bar", "huge_fault_unaligned"),
    "S22": Numbered("a PUD leaf; munmap of a part of it", "munmap_in_a_pud", own=True),
    "S23": Numbered("a VMA that ends inside a PMD", "mapping_of_part", "leaf_beyond_the_vma"),
    "S24": Numbered("a PMD leaf; munmap of a part", "munmap_of_half_vs_fault", own=True),
    "S25": Numbered(
        "large leaves that move; memory off",
        "disable+mremap unaligned_mremap_vs_disable",
        own=True,
    ),
    "S26": Numbered(
        "fork with large leaves; memory off",
        "disable+fork touch+disable+fork",
        "child_linked_before_its_parent",
    ),
    "S27": Numbered(
        "a fault that finds a leaf or a table of another level", "nohugepage_vs_fault", own=True
    ),
    "S28": Numbered("a tracked VMA; a zap of one page", "revoke_one_page", "zap_of_one_page"),
    "S29": Numbered("a tracked VMA moves, or goes", "touch+mremap munmap+mremap", own=True),
    "S30": Numbered(
        "a BAR that its driver has with another type", "write_combining_bar", "cached_pud", own=True
    ),
    "S31": Numbered(
        "a remap of a whole VMA, a zap, a remap", "touch_after_enable", "remap_after_a_zap"
    ),
    "S32": Numbered("write-through in a PMD leaf", "", "write_through_pmd"),
    "S33": Numbered("a large leaf over two types", "", "leaf_over_two_types", own=True),
    "S34": Numbered(
        "a DMA mapping of a BAR; memory off", "map_dma_vs_disable", "dma_outlives_a_disable"
    ),
    "S35": Numbered("a DMA mapping of a BAR; munmap", "map_dma_vs_munmap"),
    "S36": Numbered(
        "a guest touches the BAR; memory off",
        "guest_touch_vs_disable guest_touch_vs_munmap",
        "sequence_read_after_the_lookup",
        own=True,
    ),
    "S37": Numbered(
        "an importer of a dma-buf with a fence; memory off",
        "dma_buf_vs_disable dma_buf_vs_reset",
        "disable_waits_for_an_importer",
    ),
    "S38": Numbered("an FLR; the device lock is taken elsewhere", "flr_vs_fault"),
    "S39": Numbered("entry to low power; a fault", "low_power_vs_fault"),
}
