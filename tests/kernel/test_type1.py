"""type1: what MAP_DMA enters into the IOMMU, and what UNMAP_DMA takes out again."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from pfnlab import Design, Scenario, check, explore, invariant
from pfnlab.designs import huge_fault, insert_page_on_fault
from pfnlab.kernel import (
    EAGAIN,
    EFAULT,
    EINVAL,
    FAULT_FLAG_TRIED,
    PAGE_SIZE,
    VM_FAULT_COMPLETED,
    VM_FAULT_NOPAGE,
    VM_FAULT_RETRY,
    Errno,
    Lab,
    Mapping,
    VfioPciDevice,
    Vma,
    VmFault,
    VmOperations,
    mmap_read_unlock,
    vm_fault_t,
)
from pfnlab.kernel import type1 as type1_py
from pfnlab.kernel.errno import EEXIST, show_errno
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.kernel.type1 import (
    IOMMU_READ,
    DmaMap,
    VfioIommu,
    pages_of_lookup,
    vfio_dma_do_map,
    vfio_dma_do_unmap,
)
from pfnlab.kernel.vma import VM_WRITE, vm_flags_clear
from pfnlab.scenarios.dma import map_dma
from tests.kernel.alone import Place, alone, leaves_seen

PFN = 0x3800000
IOVA = 0x100000


def page(number: int) -> int:
    return number * PAGE_SIZE


def entries(iommu: VfioIommu) -> list[str]:
    """What a device can reach: the first 16 pages from IOVA on, in one look each."""
    seen = []
    for number in range(16):
        pfn = iommu.entries.cell(IOVA + page(number) >> 12, "").value
        if pfn is not None:
            seen.append(f"{number} -> {pfn - PFN}")
    return seen


def map_pages(
    place: Place, iommu: VfioIommu, first: int, count: int, *, iova: int | None = None
) -> int:
    vaddr = place.mapping.address + page(first)
    where = IOVA + page(first if iova is None else iova)
    return vfio_dma_do_map(iommu, place.mm, DmaMap(vaddr, where, page(count)))


def test_every_page_of_a_fresh_bar_gets_an_entry() -> None:
    def code(place: Place) -> tuple[int, list[str], list[str]]:
        iommu = place.lab.iommu_container()
        error = map_pages(place, iommu, 0, 6)
        return error, entries(iommu), [leaf.order.entry for leaf in leaves_seen(place.mm)]

    assert alone(code, pages=6).returned == (
        0,
        [f"{number} -> {number}" for number in range(6)],
        ["pmd", "pte", "pte"],
    )


def test_a_lab_maps_at_the_address_of_the_mapping() -> None:
    def code(place: Place) -> tuple[int, object, object]:
        iommu = place.lab.iommu_container()
        error = place.lab.map_dma(iommu, place.mapping)
        first = place.mapping.address >> 12
        return (
            error,
            iommu.entries.cell(first, "").value,
            iommu.entries.cell(first + 3, "").value,
        )

    assert alone(code).returned == (0, PFN, PFN + 3)


def test_two_vmas_that_do_not_follow_each_other_are_two_runs() -> None:
    def code(place: Place) -> tuple[int, list[str]]:
        place.lab.mmap(place.vdev, address=MMAP_BASE + page(4), offset=page(1), size=page(2))
        iommu = place.lab.iommu_container()
        return map_pages(place, iommu, 2, 4), entries(iommu)

    assert alone(code).returned == (0, ["2 -> 2", "3 -> 3", "4 -> 1", "5 -> 2"])


def test_memory_that_is_off_is_efault_and_leaves_nothing() -> None:
    def code(place: Place) -> tuple[int, list[str], int]:
        iommu = place.lab.iommu_container()
        place.lab.write_command(place.vdev, memory=False)
        return map_pages(place, iommu, 0, 4), entries(iommu), len(iommu.dma_list)

    assert alone(code).returned == (-EFAULT, [], 0)


def test_an_error_takes_the_pages_before_it_out_again() -> None:
    def code(place: Place) -> tuple[int, list[str], int]:
        place.lab.mmap(place.vdev, address=MMAP_BASE + page(4), offset=page(1), size=page(1))
        iommu = place.lab.iommu_container()
        return map_pages(place, iommu, 3, 3), entries(iommu), len(iommu.dma_list)

    assert alone(code).returned == (-EFAULT, [], 0)


@pytest.mark.parametrize(
    ("vaddr", "iova", "size"),
    [(0, 0, 0), (0, 0, 1), (0, 1, PAGE_SIZE), (1, 0, PAGE_SIZE), (0, 0, PAGE_SIZE + 1)],
)
def test_what_is_not_whole_pages_is_einval(vaddr: int, iova: int, size: int) -> None:
    def code(place: Place) -> int:
        iommu = place.lab.iommu_container()
        return vfio_dma_do_map(
            iommu, place.mm, DmaMap(place.mapping.address + vaddr, IOVA + iova, size)
        )

    assert alone(code).returned == -EINVAL


def test_a_range_for_neither_reading_nor_writing_is_einval() -> None:
    def code(place: Place) -> int:
        iommu = place.lab.iommu_container()
        dma_map = DmaMap(place.mapping.address, IOVA, PAGE_SIZE, prot=0)
        return vfio_dma_do_map(iommu, place.mm, dma_map)

    assert alone(code).returned == -EINVAL


@pytest.mark.parametrize(("iova", "error"), [(0, 0), (1, -EEXIST), (3, -EEXIST), (4, 0)])
def test_a_range_that_overlaps_another_is_eexist(iova: int, error: int) -> None:
    def code(place: Place) -> int:
        iommu = place.lab.iommu_container()
        assert map_pages(place, iommu, 0, 2, iova=2) == 0
        return map_pages(place, iommu, 0, 2, iova=iova)

    assert alone(code).returned == error
    assert show_errno(-EEXIST) == "-EEXIST"


@pytest.mark.parametrize(
    ("first", "count", "returned", "left"),
    [
        (0, 2, (0, page(2)), ["2 -> 2", "3 -> 3"]),
        (0, 4, (0, page(4)), []),
        (0, 8, (0, page(4)), []),
        (4, 4, (0, 0), ["0 -> 0", "1 -> 1", "2 -> 2", "3 -> 3"]),
        (0, 1, (-EINVAL, 0), ["0 -> 0", "1 -> 1", "2 -> 2", "3 -> 3"]),
        (1, 3, (-EINVAL, 0), ["0 -> 0", "1 -> 1", "2 -> 2", "3 -> 3"]),
        (0, 3, (-EINVAL, 0), ["0 -> 0", "1 -> 1", "2 -> 2", "3 -> 3"]),
        (0, 0, (-EINVAL, 0), ["0 -> 0", "1 -> 1", "2 -> 2", "3 -> 3"]),
    ],
)
def test_an_unmap_takes_whole_ranges_and_cuts_none(
    first: int, count: int, returned: tuple[int, int], left: list[str]
) -> None:
    def code(place: Place) -> tuple[tuple[int, int], list[str]]:
        iommu = place.lab.iommu_container()
        map_pages(place, iommu, 0, 2)
        map_pages(place, iommu, 2, 2)
        return vfio_dma_do_unmap(iommu, IOVA + page(first), page(count)), entries(iommu)

    assert alone(code).returned == (returned, left)


def test_entries_outlive_a_disable_and_munmap() -> None:
    def code(place: Place) -> list[str]:
        iommu = place.lab.iommu_container()
        map_pages(place, iommu, 0, 1)
        place.lab.write_command(place.vdev, memory=False)
        place.lab.munmap(place.mapping)
        return entries(iommu)

    assert alone(code).returned == ["0 -> 0"]


def completed(vmf: VmFault) -> vm_fault_t:
    fault = huge_fault.page_fault(vmf)
    if fault != VM_FAULT_NOPAGE:
        return fault
    mmap_read_unlock(vmf.vma.vm_mm)
    return VM_FAULT_NOPAGE | VM_FAULT_COMPLETED


def retry_once(vmf: VmFault) -> vm_fault_t:
    if vmf.flags & FAULT_FLAG_TRIED:
        return huge_fault.page_fault(vmf)
    mmap_read_unlock(vmf.vma.vm_mm)
    return VM_FAULT_RETRY


@pytest.mark.parametrize("handler", [completed, retry_once], ids=lambda f: f.__name__)
def test_a_dropped_mmap_lock_leads_to_a_new_lookup(
    handler: Callable[[VmFault], vm_fault_t],
) -> None:
    def code(place: Place) -> tuple[int, list[str]]:
        iommu = place.lab.iommu_container()
        return map_pages(place, iommu, 0, 2), entries(iommu)

    design = replace(huge_fault.design, name="drops", vm_ops=VmOperations(fault=handler))

    assert alone(code, design=design).returned == (0, ["0 -> 0", "1 -> 1"])


def errors_of(
    disturb: Callable[[Lab, VfioPciDevice, Mapping], None],
    handler: Callable[[VmFault], vm_fault_t] = completed,
) -> set[int]:
    """Every error of MAP_DMA beside another task; unless told otherwise, faults drop mmap_lock."""
    errors: set[int] = set()

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(PAGE_SIZE)
        mapping = lab.mmap(vdev)
        container = lab.iommu_container()

        @lab.task
        def type1() -> None:
            errors.add(lab.map_dma(container, mapping))

        @lab.task
        def other() -> None:
            disturb(lab, vdev, mapping)

    design = replace(huge_fault.design, name="drops", vm_ops=VmOperations(fault=handler))
    check(Scenario("errors", "MAP_DMA and another task.", build), design)
    return errors


def test_munmap_in_the_gap_is_eagain_and_before_it_efault() -> None:
    assert errors_of(lambda lab, _vdev, mapping: lab.munmap(mapping)) == {0, -EFAULT, -EAGAIN}


def disable(lab: Lab, vdev: VfioPciDevice, _mapping: Mapping) -> None:
    lab.write_command(vdev, memory=False)


def test_a_disable_in_the_gap_is_efault_from_the_next_fault() -> None:
    assert errors_of(disable) == {0, -EFAULT}


def test_a_disable_between_the_fault_and_the_second_lookup_is_einval() -> None:
    assert errors_of(disable, huge_fault.page_fault) == {0, -EFAULT, -EINVAL}


def test_entries_can_be_looked_at_by_rules() -> None:
    @invariant
    def nothing_is_mapped(lab: Lab) -> Iterator[int]:
        """An IOMMU entry is there."""
        yield from (pfn for pfn in containers[-1].entries.values() if pfn is not None)

    containers: list[VfioIommu] = []

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device(PAGE_SIZE))
        containers.append(lab.iommu_container())

        @lab.task
        def type1() -> None:
            lab.map_dma(containers[-1], mapping)

        lab.always(nothing_is_mapped)

    result = explore(Scenario("looks", "A rule looks.", build), huge_fault.design)

    assert result.violation is not None
    assert result.violation.evidence == (f"{PFN}",)


def test_a_bar_of_one_pmd_is_mapped_by_one_schedule() -> None:
    assert check(map_dma, huge_fault.design).schedules == 1


# ---- how often a BAR is looked up, and how often its handler runs


def counts(
    design: Design, kernel: str, *, pages: int, first: int = 0, touched: int = 0
) -> tuple[int, int]:
    """(lookups, calls of a handler) of one MAP_DMA of a BAR that begins at page `first`.

    The first `touched` pages have been touched before.
    """

    def counted(what: list[int], function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> Any:
            what[0] += 1
            return function(*arguments)

        return call

    calls, lookups = [0], [0]
    ops = design.vm_ops
    counting = VmOperations(
        fault=counted(calls, ops.fault) if ops.fault is not None else None,
        huge_fault=counted(calls, ops.huge_fault) if ops.huge_fault is not None else None,
    )

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(page(pages))
        mapping = lab.mmap(vdev, address=MMAP_BASE + page(first))
        container = lab.iommu_container()

        @lab.task
        def type1() -> None:
            for number in range(touched):
                lab.touch(mapping, offset=page(number))
            calls[0] = lookups[0] = 0
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(type1_py, "follow_pfnmap_start", counted(lookups, start))
                assert lab.map_dma(container, mapping) == 0

    start = type1_py.follow_pfnmap_start
    check(Scenario("counts", "MAP_DMA.", build), replace(design, vm_ops=counting), kernel=kernel)
    return lookups[0], calls[0]


# Handler calls as measured on 6.12 with tables of 512 entries: 33 for 64 MiB that begins at
# a GiB, which is 1 + 32; 34 where it crosses one, 2 + 32; 16418 where nothing is aligned,
# 1 + 33 + 16384.  Here a table has 4 entries: a PMD leaf maps 4 pages, a PUD leaf 16.
@pytest.mark.parametrize(
    ("pages", "first", "touched", "calls"),
    [
        (8, 0, 0, 1 + 2),
        (8, 12, 0, 2 + 2),
        (8, 1, 0, 1 + 3 + 8),
        (16, 0, 0, 1),
        (32, 0, 0, 2),
        (8, 0, 1, 1),
        (8, 0, 8, 0),
    ],
)
@pytest.mark.parametrize("kernel", ["v6.12", "v7.3"])
def test_huge_fault_is_called_as_often_as_on_a_real_kernel(
    kernel: str, pages: int, first: int, touched: int, calls: int
) -> None:
    seen = counts(huge_fault.design, kernel, pages=pages, first=first, touched=touched)

    assert seen[1] == calls


@pytest.mark.parametrize(("touched", "calls"), [(0, 8), (1, 7), (8, 0)])
def test_a_handler_of_single_pages_is_called_for_every_page(touched: int, calls: int) -> None:
    design = insert_page_on_fault.design

    assert counts(design, "v7.3", pages=8, touched=touched) == (8 + calls, calls)


@pytest.mark.parametrize(
    ("kernel", "pages", "lookups"),
    [("v6.12", 8, 8), ("v7.3", 8, 2), ("v6.12", 16, 16), ("v7.3", 16, 1), ("v7.3", 32, 2)],
)
def test_a_lookup_is_good_for_a_page_and_later_for_a_leaf(
    kernel: str, pages: int, lookups: int
) -> None:
    assert counts(huge_fault.design, kernel, pages=pages, touched=pages)[0] == lookups


@pytest.mark.parametrize(
    ("kernel", "pfn", "size", "npages", "got"),
    [
        ("v6.12", PFN, 4, 8, 1),
        ("v7.3", PFN, 4, 8, 4),
        ("v7.3", PFN + 3, 4, 8, 1),
        ("v7.3", PFN, 4, 2, 2),
        ("v7.3", PFN, 1, 8, 1),
        ("v7.3", 0x1000, 4, 8, -EFAULT),
    ],
)
def test_a_lookup_ends_with_the_leaf_and_with_the_request(
    kernel: str, pfn: int, size: int, npages: int, got: int
) -> None:
    seen = []

    def build(lab: Lab) -> None:
        @lab.task
        def task() -> None:
            seen.append(pages_of_lookup(pfn, ~(page(size) - 1), npages))

    check(Scenario("lookup", "One lookup.", build), huge_fault.design, kernel=kernel)
    assert seen[-1] == got


def test_a_device_that_writes_needs_a_writable_leaf() -> None:
    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        error = huge_fault.mmap(vdev, vma)
        vm_flags_clear(vma, VM_WRITE)
        return error

    def code(place: Place) -> list[int]:
        place.lab.touch(place.mapping)
        iommu = place.lab.iommu_container()
        dma_map = DmaMap(place.mapping.address, IOVA, PAGE_SIZE)
        return [
            vfio_dma_do_map(iommu, place.mm, dma_map),
            vfio_dma_do_map(iommu, place.mm, dma_map._replace(prot=IOMMU_READ)),
        ]

    design = replace(huge_fault.design, name="read_only", mmap=mmap)
    assert alone(code, design=design).returned == [-EFAULT, 0]


def test_a_lab_takes_a_mapping_out_again() -> None:
    def code(place: Place) -> tuple[int, object]:
        iommu = place.lab.iommu_container()
        place.lab.map_dma(iommu, place.mapping)
        error = place.lab.unmap_dma(iommu, place.mapping)
        return error, iommu.entries.cell(place.mapping.address >> 12, "").value

    assert alone(code).returned == (0, None)
