"""write_lock_in_fault, called by who will not wait.

FAULT_FLAG_RETRY_NOWAIT comes with FAULT_FLAG_ALLOW_RETRY, and still forbids to drop
mmap_lock (S3).  The handler looks at neither.
"""

from pfnlab.designs.write_lock_in_fault import design
from pfnlab.engine.program import scenario
from pfnlab.kernel import *
from tests.stories.story import told

RULE = "mmap_lock_kept_with_retry_nowait"


@scenario
def fault_nowait(lab: Lab) -> None:
    """The kernel faults a page in and will not wait."""
    mapping = lab.mmap(lab.vfio_device())

    @lab.task
    def kvm() -> None:
        lab.fault_nowait(mapping)


def test_a_fault_that_may_not_wait_keeps_mmap_lock() -> None:
    finding = told(fault_nowait, design, RULE, "kvm:15")

    assert finding.violation.evidence == (
        "The handler drops mm.mmap_lock and returns VM_FAULT_NOPAGE | VM_FAULT_COMPLETED; "
        "FAULT_FLAG_RETRY_NOWAIT forbids that.",
    )
