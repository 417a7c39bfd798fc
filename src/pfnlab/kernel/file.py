"""struct file: what an fd and every VMA of a mapping refer to.

Drawn after fs/file_table.c and include/linux/fs.h.
"""

from collections.abc import Callable
from typing import Any

from pfnlab.engine.current import running_task
from pfnlab.engine.field import field
from pfnlab.engine.shared import Shared, cell_of
from pfnlab.engine.step import read_plain, violate, write_plain
from pfnlab.engine.word import word
from pfnlab.kernel.refcount import count
from pfnlab.kernel.rule import contract

HANDLER_AFTER_RELEASE = contract(
    "D4",
    "no_fault_after_release",
    "A fault handler runs after the file of its VMA was released: the VMA did not pin it.",
    "mm/vma.c: __mmap_region() and __split_vma() take a reference, remove_vma() drops it, v6.12",
)


class File(Shared):
    """An open file.  It is released when the last reference is dropped.

    Model: one fd per device; fork() copies none, so a child has its mappings alone.
    """

    f_count = word(1)  # the fd; each VMA adds one
    released = field(False, traced=False)

    def __init__(
        self, name: str, mapping: Any, release: Callable[[Any], None], private_data: Any
    ) -> None:
        self.name = name
        self.mapping = mapping  # f_mapping
        self.release = release  # f_op->release: gets the file
        self.private_data = private_data


def get_file(file: File) -> File:
    """Take one more reference.  The caller has one already, by a VMA or an fd."""
    count(file, File.f_count, "get_file", lambda references: references + 1)
    return file


def fput(file: File) -> None:
    """Drop a reference.  The release waits until the task returns to user space.

    So ->release runs without mmap_lock and whatever else the caller holds.
    """
    if count(file, File.f_count, "fput", lambda references: references - 1) == 0:
        task_work_add(lambda: __fput(file))


def __fput(file: File) -> None:
    """The last reference is gone."""
    cell = cell_of(file, "released")
    write_plain(cell, lambda _released: True, "release", rule=HANDLER_AFTER_RELEASE)
    file.release(file)


def task_work_add(work: Callable[[], None]) -> None:
    """Put something off until the task returns to user space, and holds no lock.

    Model: for the running task only, with TWA_RESUME, and never too late.
    """
    running_task().works.append(work)


def task_work_run() -> None:
    """What was put off until the task holds no lock: called on the way to user space."""
    works = running_task().works
    while works:
        works.pop(0)()


def assert_not_released(file: Any) -> None:
    """The handler of a VMA is called: its file must be open, whatever else happens."""
    if not isinstance(file, File):
        return
    cell = cell_of(file, "released")
    if read_plain(cell, "use", rule=HANDLER_AFTER_RELEASE):
        task = running_task()
        violate(HANDLER_AFTER_RELEASE, f"{task.name} calls the handler; {file} is released.")
