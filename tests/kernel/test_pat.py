"""PAT tracking: who reserves, who frees, and how often, on either kind of kernel."""

from dataclasses import replace

import pytest

from pfnlab import Design, Scenario, explore
from pfnlab.designs import huge_fault, remap_on_mmap
from pfnlab.kernel import (
    EINVAL,
    PAGE_SIZE,
    VM_PAT,
    Errno,
    Lab,
    VfioPciDevice,
    io_remap_pfn_range,
    mmap_write_lock,
    mmap_write_unlock,
    zap_vma_ptes,
)
from pfnlab.kernel.bars import BAR_ADDRESS
from pfnlab.kernel.memtype import memtype_free
from pfnlab.kernel.pat import track_pfn_copy, untrack_pfn, untrack_pfn_clear
from pfnlab.kernel.split import vm_area_dup
from pfnlab.kernel.vma import Vma
from tests.kernel.alone import Outcome, Place, alone

PFN = 0x3800000
OLD, NEW = "v6.12", "v6.16"


def reservations(size: int = 4 * PAGE_SIZE) -> int:
    """How often the BAR was reserved beside its driver; takes them all."""
    count = 0
    while not memtype_free(BAR_ADDRESS, BAR_ADDRESS + size):
        count += 1
    return count


def after(code: object, kernel: str, design: Design = remap_on_mmap.design) -> Outcome:
    return alone(code, kernel=kernel, design=design)  # type: ignore[arg-type]


@pytest.mark.parametrize(("kernel", "marked"), [(OLD, True), (NEW, False)])
def test_a_remap_of_a_whole_vma_reserves_once(kernel: str, marked: bool) -> None:
    def code(place: Place) -> tuple[bool, bool, int]:
        vma = place.vma
        return bool(vma.vm_flags & VM_PAT), vma.pfnmap_track_ctx is None, reservations()

    assert after(code, kernel).returned == (marked, marked, 1)


@pytest.mark.parametrize("kernel", [OLD, NEW])
def test_a_remap_of_a_part_and_an_insert_reserve_nothing(kernel: str) -> None:
    def code(place: Place) -> int:
        vma = place.vma
        mmap_write_lock(place.mm)
        io_remap_pfn_range(vma, vma.vm_start, PFN, PAGE_SIZE, "UC-")
        mmap_write_unlock(place.mm)
        place.lab.touch(place.mapping, PAGE_SIZE)
        return reservations() + reservations(PAGE_SIZE)

    assert after(code, kernel, huge_fault.design).returned == 0


@pytest.mark.parametrize("kernel", [OLD, NEW])
def test_munmap_gives_the_reservation_back(kernel: str) -> None:
    def code(place: Place) -> int:
        place.lab.munmap(place.mapping)
        return reservations()

    outcome = after(code, kernel)
    assert (outcome.rule, outcome.returned) == ("", 0)


@pytest.mark.parametrize("kernel", [OLD, NEW])
def test_a_fork_and_two_munmaps_leave_nothing_reserved(kernel: str) -> None:
    def code(place: Place) -> int:
        child = place.lab.fork()
        place.lab.munmap(place.mapping)
        place.lab.munmap(place.mapping.of(child))
        return reservations()

    outcome = after(code, kernel)
    assert (outcome.rule, outcome.returned) == ("", 0)


@pytest.mark.parametrize(("kernel", "count"), [(OLD, 2), (NEW, 1)])
def test_a_child_reserves_for_itself_or_shares(kernel: str, count: int) -> None:
    def code(place: Place) -> int:
        place.lab.fork()
        return reservations()

    assert after(code, kernel).returned == count


@pytest.mark.parametrize(("kernel", "left"), [(OLD, 0), (NEW, 1)])
def test_a_zap_of_the_whole_vma_frees_only_up_to_v6_15(kernel: str, left: int) -> None:
    def code(place: Place) -> tuple[int, int]:
        place.lab.write_command(place.vdev, memory=False)
        return place.vma.vm_flags & VM_PAT, reservations()

    outcome = after(code, kernel)
    assert (outcome.rule, outcome.returned) == ("", (0, left))


def test_a_second_zap_frees_nothing() -> None:
    def code(place: Place) -> int:
        for _ in range(2):
            with place.mm.mmap_lock.read():
                zap_vma_ptes(place.vma, place.vma.vm_start, place.vma.size)
        return reservations()

    outcome = after(code, OLD)
    assert (outcome.rule, outcome.returned) == ("", 0)


def test_a_zap_of_one_page_frees_the_type_of_the_others() -> None:
    def code(place: Place) -> None:
        with place.mm.mmap_lock.read():
            zap_vma_ptes(place.vma, place.vma.vm_start, PAGE_SIZE)

    assert after(code, OLD).rule == "memtype_freed_with_its_leaves"
    assert after(code, NEW).rule == ""


def test_half_of_a_marked_vma_has_no_reservation_of_its_own() -> None:
    def code(place: Place) -> None:
        # What __split_vma() makes of a VMA up to v6.15: both halves are marked.
        half = Vma(place.mm, place.vma.vm_start, place.vma.vm_start + 2 * PAGE_SIZE, 0, 0)
        half._vm_flags = place.vma.vm_flags
        with place.mm.mmap_lock.write():
            untrack_pfn(half)

    outcome = after(code, OLD)
    assert outcome.rule == "memtype_freed_with_its_leaves"
    assert outcome.evidence == ("No reservation is 3800000000..3800001fff.",)


def test_a_marked_vma_without_a_first_leaf_is_never_freed() -> None:
    def code(place: Place) -> None:
        with place.mm.mmap_lock.write():
            vma = place.vma
            copy = vm_area_dup(vma, place.mm, vma.vm_start, vma.vm_end, vma.vm_pgoff)
            copy._vm_flags = place.vma.vm_flags
        place.lab.munmap(place.mapping)
        untrack_pfn(copy)

    outcome = after(code, OLD)
    assert outcome.rule == "memtype_freed_with_its_leaves"
    assert "No leaf at 7f0000000000 tells" in outcome.evidence[0]


def test_mremap_hands_the_reservation_on() -> None:
    def code(place: Place) -> tuple[int, int]:
        with place.mm.mmap_lock.write():
            untrack_pfn_clear(place.vma)
            zap_vma_ptes(place.vma, place.vma.vm_start, place.vma.size)
        return place.vma.vm_flags & VM_PAT, reservations()

    outcome = after(code, OLD)
    assert (outcome.rule, outcome.returned) == ("", (0, 1))


def test_a_copy_of_an_unmarked_vma_is_not_tracked() -> None:
    def code(place: Place) -> tuple[int, int]:
        with place.mm.mmap_lock.write():
            return track_pfn_copy(place.vma, place.vma), reservations()

    assert after(code, OLD, huge_fault.design).returned == (0, 0)


def test_a_second_remap_is_refused_from_v6_16_on() -> None:
    def code(place: Place) -> None:
        vma = place.vma
        with place.mm.mmap_lock.write():
            zap_vma_ptes(vma, vma.vm_start, vma.size)
            assert io_remap_pfn_range(vma, vma.vm_start, PFN, vma.size, "UC-") != -EINVAL

    assert after(code, OLD).rule == ""
    assert after(code, NEW).rule == "vma_remapped_as_a_whole_once"


def mmap_that_fails_late(vdev: VfioPciDevice, vma: Vma) -> Errno:
    error = remap_on_mmap.mmap(vdev, vma)
    return error or -EINVAL


@pytest.mark.parametrize("kernel", [OLD, NEW])
def test_an_mmap_that_fails_after_its_remap_leaves_nothing_reserved(kernel: str) -> None:
    failing = replace(remap_on_mmap.design, mmap=mmap_that_fails_late)
    seen = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        lab.first_process()

        @lab.task
        def vmm() -> None:
            seen.append((lab.mmap(vdev).error, reservations()))

    assert explore(Scenario("late", "One mmap.", build), failing, kernel=kernel).verdict == "ok"
    assert seen[-1] == (-EINVAL, 0)
