"""mmap and munmap: what is linked when, and what is refused."""

from dataclasses import replace

import pytest

from pfnlab import ModelError, Scenario, explore
from pfnlab.designs import huge_fault, remap_on_mmap
from pfnlab.kernel import (
    ENODEV,
    PAGE_SIZE,
    Errno,
    Lab,
    VfioPciDevice,
    Vma,
)
from pfnlab.kernel.pagetable import walk
from pfnlab.kernel.vma import held_for
from tests.kernel.alone import Place, alone


def test_mmap_hook_runs_before_the_vma_is_in_i_mmap() -> None:
    class Device(VfioPciDevice):
        """Notes how many VMAs map the file while the hook runs."""

    linked: list[int] = []

    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        linked.append(len(vdev.mapping.i_mmap))
        return huge_fault.mmap(vdev, vma)

    design = replace(huge_fault.design, name="looks", mmap=mmap, device=Device)

    def code(place: Place) -> int:
        return len(place.vdev.mapping.i_mmap)

    outcome = alone(code, design=design)

    assert set(linked) == {0}
    assert outcome.returned == 1


def test_mmap_hook_runs_with_mmap_lock_held_for_write() -> None:
    held: list[str] = []

    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        held.append(held_for(vma.vm_mm.mmap_lock))
        return huge_fault.mmap(vdev, vma)

    alone(lambda _place: None, design=replace(huge_fault.design, name="looks", mmap=mmap))

    assert set(held) == {"write"}


def set_up(arguments: dict[str, int], *bars: int) -> None:
    """mmap() with these arguments while a scenario is set up."""

    def build(lab: Lab) -> None:
        lab.mmap(lab.vfio_device(*bars), **arguments)
        lab.add_task("nobody", lambda: None)

    explore(Scenario("one_mmap", "One mmap.", build), huge_fault.design)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"size": 5 * PAGE_SIZE}, "mmap of BAR 0, offset 0x0: -EINVAL"),
        ({"offset": 4 * PAGE_SIZE, "size": PAGE_SIZE}, "mmap of BAR 0, offset 0x4000: -EINVAL"),
        ({"bar": 1}, "vdev has no BAR 1"),
        ({"bar": -1}, "vdev has no BAR -1"),
        ({"size": 100}, "mmap of BAR 0: size 0x64 is no multiple of 4 KiB"),
        ({"offset": 1}, "mmap of BAR 0: offset 0x1 is no multiple of 4 KiB"),
    ],
    ids=str,
)
def test_a_window_that_is_not_in_the_bar_is_refused(
    arguments: dict[str, int], complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        set_up(arguments)


def test_every_window_inside_the_bar_is_accepted() -> None:
    for first in range(4):
        for length in range(1, 5 - first):
            set_up({"offset": first * PAGE_SIZE, "size": length * PAGE_SIZE})


def test_a_bar_is_a_number_of_whole_pages() -> None:
    with pytest.raises(ModelError, match="a BAR of 100 bytes"):
        set_up({}, 100)


def test_an_error_of_the_hook_is_the_error_of_mmap() -> None:
    design = replace(huge_fault.design, name="refuses", mmap=lambda vdev, vma: -ENODEV)

    with pytest.raises(ModelError, match="-ENODEV"):
        alone(lambda _place: None, design=design)


def test_the_second_bar_has_its_own_pages() -> None:
    pfns: list[list[int]] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(PAGE_SIZE, PAGE_SIZE)
        mappings = [lab.mmap(vdev, bar=bar) for bar in (0, 1)]

        @lab.task
        def vcpu() -> None:
            for mapping in mappings:
                lab.touch(mapping)
            found = [walk(mapping.mm, mapping.address).leaf for mapping in mappings]
            pfns.append([leaf.pfn for leaf in found if leaf is not None])

    explore(Scenario("two_bars", "A vCPU touches two BARs.", build), huge_fault.design)

    assert pfns[-1] == [0x3800000, 0x3800010]


def test_neighbouring_windows_stay_two_vmas() -> None:
    def code(place: Place) -> int:
        half = place.vma.size // 2
        place.lab.munmap(place.mapping)
        for offset in (0, half):
            place.lab.mmap(
                place.vdev, offset=offset, size=half, address=place.mapping.address + offset
            )
        return len(place.mm.vmas)

    assert alone(code).returned == 2


def test_a_mapping_at_an_address_that_is_taken_replaces_what_was_there() -> None:
    def code(place: Place) -> tuple[int, int, int]:
        place.lab.touch(place.mapping)
        page = place.mapping.address + PAGE_SIZE
        place.lab.mmap(place.vdev, size=PAGE_SIZE, address=page)
        place.lab.touch(place.mapping._replace(address=page))
        leaf = walk(place.mm, page).leaf
        assert leaf is not None
        return len(place.mm.vmas), len(place.vdev.mapping.i_mmap), leaf.pfn

    assert alone(code).returned == (3, 3, 0x3800000)


def test_an_mmap_that_fails_leaves_no_tables() -> None:
    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        remap_on_mmap.mmap(vdev, vma)
        return -ENODEV

    found: list[tuple[int, object]] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mm = lab.first_process()

        @lab.task
        def vmm() -> None:
            mapping = lab.mmap(vdev, mm=mm, address=0x7D0000000000)
            found.append((mapping.error, walk(mm, 0x7D0000000000).pud))

    explore(Scenario("fails", "An mmap() fails.", build), replace(remap_on_mmap.design, mmap=mmap))
    assert set(found) == {(-ENODEV, None)}
