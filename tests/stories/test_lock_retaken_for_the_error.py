"""write_lock_in_fault returns SIGBUS with mmap_lock held, as if it had never been let go.

The handler takes mmap_lock for read again before it returns an error.  VM_FAULT_SIGBUS
says that the lock was held throughout, so the caller goes on with its VMA, which may be
gone.
"""

from pfnlab.designs.write_lock_in_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "fault_lock_held_throughout"


def test_an_error_says_that_mmap_lock_was_held_throughout() -> None:
    finding = told(zap_vs_fault, design, RULE, "config:6,vcpu:13")

    assert finding.violation.evidence == (
        "VM_FAULT_SIGBUS, and mm.mmap_lock was dropped and taken again.",
    )
