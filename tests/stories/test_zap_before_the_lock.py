"""huge_fault, but BARs are zapped before memory_lock is taken.

A fault that arrives between the two still sees memory enabled and maps the BAR again;
nobody zaps it a second time.  Not published: the first mistake one makes with
zap_and_down_write_memory_lock().
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design, zap_bars
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    zap_bars(vdev)
    down_write(vdev.memory_lock)


zap_before_the_lock = replace(
    design,
    name="zap_before_the_lock",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
)


def test_a_zap_before_the_lock_leaves_a_leaf_behind() -> None:
    finding = told(zap_vs_fault, zap_before_the_lock, RULE, "config:5,vcpu:9,config:2")

    assert finding.trace.race is not None
