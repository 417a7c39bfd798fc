"""huge_fault whose zap waits for work that takes dev_set->lock, with memory_lock held.

lockdep's circle of v7.0: a change of the power state of a physical function, made under
memory_lock, flushed work that takes dev_set->lock.  Cured by 40ef3edf151e ("vfio/pci: Use a
private flag to prevent power state change with VFs").  To flush a work is to wait for what it
waits for.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design, zap_bars
from pfnlab.kernel import *
from pfnlab.scenarios.resets import hot_reset_vs_disable
from tests.stories.story import told

RULE = "documented_lock_order"


def zap_and_flush_work(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    zap_bars(vdev)
    with vdev.dev_set.lock:
        pass


flushes = replace(
    design,
    name="dev_set_lock_under_memory_lock",
    zap_and_down_write_memory_lock=zap_and_flush_work,
)


def test_the_work_waits_for_a_lock_that_comes_before_memory_lock() -> None:
    finding = told(hot_reset_vs_disable, flushes, RULE, "config:7")

    assert finding.violation.evidence[-1] == (
        "The order is VfioDeviceSet.lock > VfioPciDevice.memory_lock."
    )
