"""A driver that maps the BAR again, into every process, when memory comes back.

Jason Gunthorpe's idea of 2024-05: walk i_mmap, note who maps the device, let i_mmap_rwsem
go, take the mmap_lock of each mm and fill its VMA.  While no lock is held the process may
exit.  R22 says what it takes: mmget_not_zero() before i_mmap_rwsem is let go, and another
look at the VMAs under mmap_lock.
"""

from collections.abc import Callable

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from tests.stories.story import told

RULE = "no_leaf_outlives_its_mm"
AFTER_FREE = "no_use_after_free"


def first_vma(vdev: VfioPciDevice, pin: Callable[[Mm], object]) -> tuple[Mm, Vma] | None:
    """Who maps the device, pinned while i_mmap_rwsem keeps the VMA where it is."""
    with vdev.mapping.i_mmap_rwsem.read():
        for vma in vdev.mapping.i_mmap:
            mm: Mm = vma.vm_mm
            return None if pin(mm) is False else (mm, vma)
    return None


def fill(vdev: VfioPciDevice, mm: Mm, vma: Vma, look_again: bool) -> None:
    mmap_write_lock(mm)
    if not look_again or vma in mm.vmas:
        with vdev.memory_lock.read():
            pfn = vdev.bar_pfn(vma.vm_pgoff)
            io_remap_pfn_range(vma, vma.vm_start, pfn, vma.size, vma.vm_page_prot)
    mmap_write_unlock(mm)


def mapped_again(
    name: str,
    pin: Callable[[Mm], object],
    unpin: Callable[[Mm], None],
    look_again: bool = True,
    end: str = "exit",
) -> Scenario:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)

        @lab.task
        def driver() -> None:
            found = first_vma(vdev, pin)
            if found is not None:
                fill(vdev, *found, look_again)
                unpin(found[0])

        @lab.task
        def process() -> None:
            if end == "exit":
                lab.exit(mapping.mm)
            else:
                lab.munmap(mapping)

    return Scenario(name, f"A driver fills a mapping while its process does {end}.", build)


def not_pinned(_mm: Mm) -> None:
    """Nothing keeps the mm."""


def test_without_a_reference_the_mm_is_freed() -> None:
    finding = told(
        mapped_again("no_reference", not_pinned, not_pinned),
        design,
        AFTER_FREE,
        "driver:3,process:18",
    )

    assert "mm" in finding.violation.evidence[0]


def test_a_struct_that_is_kept_is_no_address_space_that_is_kept() -> None:
    told(mapped_again("grabbed", mmgrab, mmdrop), design, RULE, "process:4,driver:13,process:16")


def test_a_vma_may_go_although_the_mm_stays() -> None:
    told(
        mapped_again("no_second_look", mmget_not_zero, mmput, look_again=False, end="munmap"),
        design, AFTER_FREE, "driver:4,process:13,driver:3",
    )  # fmt: skip


@pytest.mark.parametrize("end", ["exit", "munmap"])
def test_a_user_who_looks_again_is_safe(end: str) -> None:
    result = explore(mapped_again("right", mmget_not_zero, mmput, end=end), design)

    assert result.verdict == "ok"
