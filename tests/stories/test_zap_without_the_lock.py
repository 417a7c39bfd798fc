"""huge_fault whose zap hook forgets memory_lock: it zaps and returns.

PCI_COMMAND is then written while faults go on.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design, zap_bars
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "command_written_under_memory_lock"

zap_without_the_lock = replace(
    design,
    name="zap_without_the_lock",
    kernel="v6.16",
    zap_and_down_write_memory_lock=zap_bars,
)


def test_since_v6_19_the_revoke_of_dma_bufs_asserts_the_lock_first() -> None:
    later = replace(zap_without_the_lock, kernel="v7.3")

    told(zap_vs_fault, later, "lockdep_assert_held", "config:6")


def test_the_command_is_written_without_memory_lock() -> None:
    finding = told(zap_vs_fault, zap_without_the_lock, RULE, "config:6")

    assert finding.violation.evidence == ("config does not hold vdev.memory_lock.",)
