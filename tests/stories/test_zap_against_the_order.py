"""The zap of zap_climbs_to_mmap_lock, and no fault at all.

lockdep needs to see both orders of two locks.  The documented order is one of them, so the
other is enough: here no task ever takes memory_lock under mmap_lock.
"""

from pfnlab.engine.program import scenario
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told
from tests.stories.test_zap_climbs_to_mmap_lock import zap_climbs_to_mmap_lock

RULE = "documented_lock_order"


@scenario
def disable(lab: Lab) -> None:
    """Memory decoding is turned off, and nobody touches the BAR."""
    vdev = lab.vfio_device()
    lab.mmap(vdev)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


def test_one_task_shows_that_the_order_is_wrong() -> None:
    finding = told(disable, zap_climbs_to_mmap_lock, RULE, "config:3")

    assert finding.violation.evidence == (
        "VfioPciDevice.memory_lock > Mm.mmap_lock: config takes Mm.mmap_lock while it holds "
        "VfioPciDevice.memory_lock (step 1).",
        "The order is Mm.mmap_lock > VfioPciDevice.memory_lock.",
    )
