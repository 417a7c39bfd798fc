"""huge_fault whose hook for hot resets zaps, takes no memory_lock, and says that it has.

Until the reset begins, a fault may map the BAR again.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design, zap_bars
from pfnlab.kernel import *
from pfnlab.scenarios.resets import hot_reset_vs_fault
from tests.stories.story import told

RULE = "bus_reset_under_every_memory_lock"


def zap_and_trylock_memory_lock(vdev: VfioPciDevice) -> bool:
    zap_bars(vdev)
    return True


bus_reset_without_the_lock = replace(
    design,
    name="bus_reset_without_the_lock",
    kernel="v6.16",  # later ones revoke dma-bufs first, which asserts memory_lock
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)


def test_a_bus_is_reset_without_memory_lock() -> None:
    finding = told(hot_reset_vs_fault, bus_reset_without_the_lock, RULE, "vmm:10")

    assert finding.violation.evidence == ("vdev.memory_lock is not held for write.",)


def zap_and_then_trylock(vdev: VfioPciDevice) -> bool:
    zap_bars(vdev)
    return down_write_trylock(vdev.memory_lock)


def test_a_zap_before_the_lock_leaves_a_leaf_on_a_device_in_reset() -> None:
    zap = replace(
        design, name="zap_and_then_trylock", zap_and_trylock_memory_lock=zap_and_then_trylock
    )

    finding = told(hot_reset_vs_fault, zap, "no_leaf_while_memory_disabled", "vmm:10,vcpu:9,vmm:4")

    assert "reset" in finding.trace.steps[-1].verb
