"""KVM: what a guest can reach, and what a zap in the host takes away from it."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab import Design, Scenario, check, explore
from pfnlab.designs import huge_fault, insert_page_on_fault
from pfnlab.kernel import (
    EFAULT,
    FAULT_FLAG_TRIED,
    PAGE_SIZE,
    VM_FAULT_COMPLETED,
    VM_FAULT_NOPAGE,
    VM_FAULT_RETRY,
    Lab,
    Leaf,
    Mapping,
    VfioPciDevice,
    VmFault,
    VmOperations,
    mmap_read_unlock,
    unmap_mapping_range,
    vm_fault_t,
)
from pfnlab.kernel.geometry import ORDERS
from pfnlab.kernel.kvm import Kvm, mmu_invalidate_retry, spte_of
from pfnlab.kernel.mprotect import PROT_READ
from pfnlab.rules import RULES, guest_entry_has_its_leaf
from pfnlab.scenarios.kvm import guest_touch_vs_disable, guest_touch_vs_munmap
from tests.kernel.alone import Place, alone

PFN = 0x3800000


def reach(vm: Kvm, address: int) -> str:
    """What a guest finds at an address, "pmd 0" with the page of the BAR; looks, no step."""
    for order in ORDERS:
        entry = spte_of(vm, order, address).value
        if isinstance(entry, Leaf):
            return f"{order.entry} {entry.pfn - PFN}"
    return "none"


def vm_of(place: Place) -> Kvm:
    return place.lab.vm(place.mapping)


@pytest.mark.parametrize(
    ("design", "seen"),
    [(huge_fault.design, "pmd 0"), (insert_page_on_fault.design, "pte 2")],
    ids=lambda value: getattr(value, "name", ""),
)
def test_an_entry_has_the_level_of_the_leaf(design: Design, seen: str) -> None:
    def code(place: Place) -> tuple[int, str]:
        vm = vm_of(place)
        error = place.lab.guest_touch(vm, place.mapping, offset=2 * PAGE_SIZE)
        return error, reach(vm, place.mapping.address + 2 * PAGE_SIZE)

    assert alone(code, design=design).returned == (0, seen)


def test_a_second_touch_of_a_leaf_takes_one_step() -> None:
    def code(place: Place) -> None:
        vm = vm_of(place)
        place.lab.guest_touch(vm, place.mapping)
        place.lab.guest_touch(vm, place.mapping, offset=PAGE_SIZE)

    def once(place: Place) -> None:
        place.lab.guest_touch(vm_of(place), place.mapping)

    assert alone(code).result.steps == alone(once).result.steps + 1


def test_memory_that_is_off_is_an_exit_with_efault() -> None:
    def code(place: Place) -> tuple[int, str]:
        vm = vm_of(place)
        place.lab.write_command(place.vdev, memory=False)
        return place.lab.guest_touch(vm, place.mapping), reach(vm, place.mapping.address)

    assert alone(code).returned == (-EFAULT, "none")


def test_an_address_without_a_vma_is_an_exit_with_efault() -> None:
    def code(place: Place) -> int:
        vm = vm_of(place)
        place.lab.munmap(place.mapping)
        return place.lab.guest_touch(vm, place.mapping)

    assert alone(code).returned == -EFAULT


def off(place: Place) -> None:
    place.lab.write_command(place.vdev, memory=False)


def one_page(place: Place) -> None:
    unmap_mapping_range(place.vdev.mapping, 3 * PAGE_SIZE, PAGE_SIZE)


def munmap(place: Place) -> None:
    place.lab.munmap(place.mapping)


def munmap_half(place: Place) -> None:
    place.lab.munmap(place.mapping, 2 * PAGE_SIZE)


def mprotect(place: Place) -> None:
    place.lab.mprotect(place.mapping, PROT_READ)


def mprotect_half(place: Place) -> None:
    place.lab.mprotect(place.mapping, PROT_READ, 2 * PAGE_SIZE)


@pytest.mark.parametrize(
    "zap", [off, one_page, munmap, munmap_half, mprotect, mprotect_half], ids=lambda f: f.__name__
)
def test_a_zap_of_any_part_takes_the_entry(zap: Callable[[Place], None]) -> None:
    def code(place: Place) -> list[str]:
        vm = vm_of(place)
        place.lab.guest_touch(vm, place.mapping)
        before = reach(vm, place.mapping.address)
        zap(place)
        return [before, reach(vm, place.mapping.address)]

    assert alone(code).returned == ["pmd 0", "none"]


def test_an_entry_needs_the_leaf_at_its_own_address() -> None:
    """The BAR is mapped twice, so its pages are mapped also after one munmap(), but elsewhere."""

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping, other = lab.mmap(vdev), lab.mmap(vdev)
        vm = lab.vm(mapping)

        @lab.task
        def vmm() -> None:
            lab.touch(other)
            lab.guest_touch(vm, mapping)
            for subscription in list(mapping.mm.notifier_subscriptions):
                mapping.mm.notifier_subscriptions.remove(subscription)  # the VM hears of nothing
            lab.munmap(mapping)

        lab.always(guest_entry_has_its_leaf)

    violation = explore(Scenario("two", "Two windows.", build), huge_fault.design).violation

    assert violation is not None
    assert violation.rule == "guest_entry_has_its_leaf"


def test_a_zap_of_another_range_counts_nothing() -> None:
    def code(place: Place) -> tuple[str, int, int]:
        vm = vm_of(place)
        place.lab.guest_touch(vm, place.mapping)
        other = place.lab.mmap(place.vdev, size=PAGE_SIZE)
        place.lab.munmap(other)
        entry = reach(vm, place.mapping.address)
        return entry, vm.mmu_invalidate_seq, vm.mmu_invalidate_in_progress

    assert alone(code).returned == ("pmd 0", 0, 0)


def test_memory_that_comes_back_is_reached_again() -> None:
    def code(place: Place) -> tuple[int, str]:
        vm = vm_of(place)
        place.lab.guest_touch(vm, place.mapping)
        place.lab.write_command(place.vdev, memory=False)
        place.lab.write_command(place.vdev, memory=True)
        return place.lab.guest_touch(vm, place.mapping), reach(vm, place.mapping.address)

    assert alone(code).returned == (0, "pmd 0")


@pytest.mark.parametrize(
    ("in_progress", "seq", "stale"), [(0, 7, False), (1, 7, True), (0, 8, True), (1, 8, True)]
)
def test_a_fault_is_stale_if_a_zap_runs_or_has_run(in_progress: int, seq: int, stale: bool) -> None:
    assert mmu_invalidate_retry(in_progress, seq, 7) == stale


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


def errors_of(
    disturb: Callable[[Lab, VfioPciDevice, Mapping], None],
    handler: Callable[[VmFault], vm_fault_t],
) -> set[int]:
    """Every error of a guest's touch beside another task; every rule is checked."""
    errors: set[int] = set()

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(PAGE_SIZE)
        mapping = lab.mmap(vdev)
        vm = lab.vm(mapping)

        @lab.task
        def guest() -> None:
            errors.add(lab.guest_touch(vm, mapping))

        @lab.task
        def other() -> None:
            disturb(lab, vdev, mapping)

        lab.always(*RULES)

    design = replace(huge_fault.design, name="drops", vm_ops=VmOperations(fault=handler))
    check(Scenario("errors", "A guest and another task.", build), design)
    return errors


# A handler that always drops the lock before it says SIGBUS is a livelock of its own: see
# tests/stories/test_retry_before_sigbus.py.
@pytest.mark.parametrize("handler", [huge_fault.page_fault, completed], ids=lambda f: f.__name__)
def test_beside_a_disable_a_guest_succeeds_or_leaves_with_efault(
    handler: Callable[[VmFault], vm_fault_t],
) -> None:
    def disable(lab: Lab, vdev: VfioPciDevice, _mapping: Mapping) -> None:
        lab.write_command(vdev, memory=False)

    assert errors_of(disable, handler) == {0, -EFAULT}


@pytest.mark.parametrize(
    "handler", [huge_fault.page_fault, completed, retry_once], ids=lambda f: f.__name__
)
def test_beside_munmap_a_guest_succeeds_or_leaves_with_efault(
    handler: Callable[[VmFault], vm_fault_t],
) -> None:
    errors = errors_of(lambda lab, _vdev, mapping: lab.munmap(mapping), handler)

    assert errors == {0, -EFAULT}


@pytest.mark.parametrize(
    "handler", [huge_fault.page_fault, completed, retry_once], ids=lambda f: f.__name__
)
def test_zaps_that_go_by_are_survived(handler: Callable[[VmFault], vm_fault_t]) -> None:
    def zap_twice(_lab: Lab, vdev: VfioPciDevice, _mapping: Mapping) -> None:
        unmap_mapping_range(vdev.mapping, 0, PAGE_SIZE)
        unmap_mapping_range(vdev.mapping, 0, PAGE_SIZE)

    errors = errors_of(zap_twice, handler)

    assert 0 in errors


@pytest.mark.parametrize("scenario", [guest_touch_vs_disable, guest_touch_vs_munmap])
def test_a_guest_beside_a_zap_stays_a_small_search(scenario: Scenario) -> None:
    assert check(scenario, huge_fault.design).schedules < 100
