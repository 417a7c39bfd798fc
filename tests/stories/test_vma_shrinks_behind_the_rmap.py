"""A VMA that shrinks with mmap_lock held for write, and no other lock.

mmap_lock keeps neither a fault away, which has the lock of the VMA, nor a zap, which finds
the VMA through i_mmap and reads its range under that lock.
"""

import pytest

from pfnlab.designs.huge_fault import design
from pfnlab.engine.program import Scenario
from pfnlab.kernel import *
from pfnlab.kernel.vma_lock import vma_start_write
from tests.stories.story import told

RULE = "vma_written_under_its_locks"


def shrink(locks_the_vma: bool) -> Scenario:
    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())
        (vma,) = mapping.mm.vmas

        @lab.task
        def mremap() -> None:
            mmap_write_lock(mapping.mm)
            if locks_the_vma:
                vma_start_write(vma)
            vma.vm_end = vma.vm_end - PAGE_SIZE

    return Scenario("shrink", "A VMA shrinks.", build)


@pytest.mark.parametrize(
    ("locks_the_vma", "schedule", "missing"),
    [
        (False, "mremap:2", "vma 7f0000000000.vm_lock and vdev.mapping.i_mmap_rwsem"),
        (True, "mremap:3", "vdev.mapping.i_mmap_rwsem"),
    ],
)
def test_the_range_of_a_vma_is_read_under_three_locks(
    locks_the_vma: bool, schedule: str, missing: str
) -> None:
    finding = told(shrink(locks_the_vma), design, RULE, schedule)

    assert finding.violation.evidence == (
        f"mremap writes vm_end of vma 7f0000000000 without {missing} held for write.",
    )
