"""remap_on_enable_locked: the loop takes mmap_lock inside memory_lock.

And remap_on_enable does so in a hot reset, which lets the memory_lock of one device go while
it still holds that of the next.
"""

from pfnlab import check
from pfnlab.designs import remap_on_enable, remap_on_enable_corrected, remap_on_enable_locked
from pfnlab.scenarios.pat import touch_after_enable
from pfnlab.scenarios.resets import hot_reset_vs_fault
from tests.stories.story import told

RULE = "documented_lock_order"


def test_an_enable_takes_mmap_lock_inside_memory_lock() -> None:
    told(touch_after_enable, remap_on_enable_locked.design, RULE, "vcpu:23")


def test_a_hot_reset_still_holds_the_memory_lock_of_the_next_device() -> None:
    told(hot_reset_vs_fault, remap_on_enable.design, RULE, "vmm:30")


def test_a_loop_on_the_way_to_user_space_holds_none() -> None:
    check(touch_after_enable, remap_on_enable_corrected.design)
    check(hot_reset_vs_fault, remap_on_enable_corrected.design)
