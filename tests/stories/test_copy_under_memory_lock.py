"""A read of a BAR that holds memory_lock over the whole call, copies to user space included.

The page of the buffer may be missing, or be a page of the BAR itself.  Whoever brings it in
may be another process that takes its time, and a disable would wait for that (L3).
"""

from pfnlab.designs.huge_fault import design
from pfnlab.engine.program import scenario
from pfnlab.kernel import *
from pfnlab.kernel.uaccess import copy_to_user
from pfnlab.kernel.vfio_rdwr import bus_access
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_user_access_under_memory_lock"


@scenario
def read_with_the_lock_held(lab: Lab) -> None:
    """A vCPU reads the BAR through a driver that holds on to memory_lock."""
    vdev = lab.vfio_device()
    mm = lab.first_process()

    @lab.task
    def reader() -> None:
        with vdev.memory_lock.read():
            if vdev.memory_enabled:
                bus_access(vdev)
                copy_to_user(mm)

    lab.always(*RULES)


def test_user_memory_is_written_under_memory_lock() -> None:
    finding = told(read_with_the_lock_held, design, RULE, "reader:5")

    assert finding.violation.evidence == ("reader holds vdev.memory_lock for read, since step 1.",)
