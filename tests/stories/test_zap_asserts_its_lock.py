"""huge_fault with the assertion that zap_bars() deserves, and a caller that breaks it.

The zap is worth something only under memory_lock for write.  lockdep_assert_held_write()
says so where it is needed, and not three functions later.
"""

from dataclasses import replace

from pfnlab.designs import huge_fault
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "lockdep_assert_held"


def zap_bars(vdev: VfioPciDevice) -> None:
    lockdep_assert_held_write(vdev.memory_lock)
    huge_fault.zap_bars(vdev)


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    down_read(vdev.memory_lock)
    zap_bars(vdev)
    up_read(vdev.memory_lock)
    down_write(vdev.memory_lock)


zap_asserts_its_lock = replace(
    design,
    name="zap_asserts_its_lock",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
)


def test_a_zap_with_the_lock_for_read_is_caught_at_its_door() -> None:
    finding = told(zap_vs_fault, zap_asserts_its_lock, RULE, "config:2")

    assert finding.violation.evidence == (
        "config must hold vdev.memory_lock for write; it does only for read, since step 1.",
    )
