"""Leaves that are moved with mmap_lock held for read.

A fault on the same VMA runs under that lock too, and may fill the old place while the leaves
go to the new one.  move_page_tables() is for mremap(), which holds the lock for write.
"""

from pfnlab import explore, scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.move_tables import move_page_tables
from tests.stories.story import told

RULE = "leaves_moved_under_write_lock"


@scenario
def moved_for_read(lab: Lab) -> None:
    """A driver moves the leaves of one mapping to another one."""
    vdev = lab.vfio_device()
    old, new = lab.mmap(vdev), lab.mmap(vdev)

    @lab.task
    def driver() -> None:
        old_vma, new_vma = old.mm.vmas
        with old.mm.mmap_lock.read():
            move_page_tables(old_vma, old.address, new_vma, new.address, old.size, False)


@scenario
def moved_for_write(lab: Lab) -> None:
    """A driver moves the leaves of one mapping to another one, as mremap() does."""
    vdev = lab.vfio_device()
    old, new = lab.mmap(vdev), lab.mmap(vdev)

    @lab.task
    def driver() -> None:
        with old.mm.mmap_lock.write():
            old_vma, new_vma = old.mm.vmas
            move_page_tables(old_vma, old.address, new_vma, new.address, old.size, False)


def test_the_read_lock_is_not_enough() -> None:
    told(moved_for_read, design, RULE, "driver:2")


def test_the_write_lock_is() -> None:
    assert explore(moved_for_write, design).verdict == "ok"
