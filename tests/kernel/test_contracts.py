"""What functions demand of their caller: held, it passes; not held, that rule breaks."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab.designs import huge_fault
from pfnlab.kernel import (
    PAGE_SIZE,
    VM_IO,
    VM_MIXEDMAP,
    VM_PFNMAP,
    Errno,
    VfioPciDevice,
    Vma,
    io_remap_pfn_range,
    lockdep_assert_held,
    lockdep_assert_held_write,
    memalloc_nofs_restore,
    memalloc_nofs_save,
    vm_flags_clear,
    vm_flags_set,
    vmf_insert_pfn,
)
from pfnlab.kernel.locks import mmap_read_unlock, return_to_user_space
from pfnlab.kernel.vfio_config import vfio_basic_config_write
from tests.kernel.alone import Place, alone

Code = Callable[[Place], object]


def without_lock(code: Code) -> Code:
    return code


def with_mmap_read(code: Code) -> Code:
    def locked(place: Place) -> object:
        with place.mm.mmap_lock.read():
            return code(place)

    return locked


def with_mmap_write(code: Code) -> Code:
    def locked(place: Place) -> object:
        with place.mm.mmap_lock.write():
            return code(place)

    return locked


def with_i_mmap_write(code: Code) -> Code:
    def locked(place: Place) -> object:
        with place.vdev.mapping.i_mmap_rwsem.write():
            return code(place)

    return locked


def with_memory_write(code: Code) -> Code:
    def locked(place: Place) -> object:
        with place.vdev.memory_lock.write():
            return code(place)

    return locked


def with_memory_read(code: Code) -> Code:
    def locked(place: Place) -> object:
        with place.vdev.memory_lock.read():
            return code(place)

    return locked


def set_flags(place: Place) -> None:
    vm_flags_set(place.vma, VM_IO)


def clear_flags(place: Place) -> None:
    vm_flags_clear(place.vma, VM_IO)


def insert(place: Place) -> object:
    return vmf_insert_pfn(place.vma, place.vma.vm_start, place.vdev.bar_pfn(0))


def insert_without_fs(place: Place) -> object:
    flags = memalloc_nofs_save()
    result = insert(place)
    memalloc_nofs_restore(flags)
    return result


def remap(place: Place) -> object:
    vma = place.vma
    return io_remap_pfn_range(vma, vma.vm_start, place.vdev.bar_pfn(0), vma.size, "UC-")


def assert_memory_held(place: Place) -> None:
    lockdep_assert_held(place.vdev.memory_lock)


def assert_memory_held_for_write(place: Place) -> None:
    lockdep_assert_held_write(place.vdev.memory_lock)


HELD = [
    (with_mmap_write, set_flags),
    (with_mmap_write, clear_flags),
    (with_mmap_read, insert),
    (with_mmap_write, insert),
    (with_mmap_write, remap),
    (with_memory_read, assert_memory_held),
    (with_memory_write, assert_memory_held),
    (with_memory_write, assert_memory_held_for_write),
]
NOT_HELD = [
    (without_lock, set_flags, "mmap_assert_write_locked"),
    (with_mmap_read, set_flags, "mmap_assert_write_locked"),
    (with_i_mmap_write, set_flags, "mmap_assert_write_locked"),
    (without_lock, clear_flags, "mmap_assert_write_locked"),
    (with_mmap_read, clear_flags, "mmap_assert_write_locked"),
    (without_lock, insert, "leaf_installed_under_mmap_lock"),
    (with_i_mmap_write, insert, "no_fs_reclaim_under_i_mmap"),
    (with_i_mmap_write, insert_without_fs, "leaf_installed_under_mmap_lock"),
    (with_memory_write, insert, "leaf_installed_under_mmap_lock"),
    (without_lock, remap, "mmap_assert_write_locked"),
    (with_mmap_read, remap, "mmap_assert_write_locked"),
    (without_lock, assert_memory_held, "lockdep_assert_held"),
    (with_mmap_write, assert_memory_held, "lockdep_assert_held"),
    (without_lock, assert_memory_held_for_write, "lockdep_assert_held"),
    (with_memory_read, assert_memory_held_for_write, "lockdep_assert_held"),
]


@pytest.mark.parametrize(("lock", "code"), HELD, ids=lambda f: f.__name__)
def test_with_the_lock_a_function_breaks_no_rule(lock: Callable[[Code], Code], code: Code) -> None:
    assert alone(lock(code)).rule == ""


@pytest.mark.parametrize(
    ("lock", "code", "rule"), NOT_HELD, ids=lambda f: getattr(f, "__name__", str(f))
)
def test_without_the_lock_a_function_breaks_its_rule(
    lock: Callable[[Code], Code], code: Code, rule: str
) -> None:
    assert alone(lock(code)).rule == rule


def test_an_assertion_says_how_the_lock_is_held() -> None:
    outcome = alone(with_memory_read(assert_memory_held_for_write))

    assert outcome.evidence == (
        "task must hold vdev.memory_lock for write; it does only for read, since step 1.",
    )


def mmap_with_flags(flags: int) -> Callable[[VfioPciDevice, Vma], Errno]:
    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        vm_flags_set(vma, flags)
        return 0

    return mmap


@pytest.mark.parametrize(
    ("flags", "rule"),
    [
        (VM_PFNMAP, ""),
        (VM_MIXEDMAP, ""),
        (0, "insert_into_a_pfn_mapping"),
        (VM_PFNMAP | VM_MIXEDMAP, "insert_into_a_pfn_mapping"),
    ],
)
def test_an_insert_wants_pfnmap_or_mixedmap_and_not_both(flags: int, rule: str) -> None:
    design = replace(huge_fault.design, name="flags", mmap=mmap_with_flags(flags))

    assert alone(with_mmap_read(insert), design=design).rule == rule


def test_remap_into_a_page_that_is_mapped_breaks_its_rule() -> None:
    def code(place: Place) -> None:
        insert(place)
        remap(place)

    outcome = alone(with_mmap_write(code))

    assert outcome.rule == "remap_fills_empty_ptes"
    assert outcome.evidence == ("pte 7f0000000000 -> pfn 3800000 is there already.",)


def zap_hook(kind: str) -> Callable[[VfioPciDevice], None]:
    def zap(vdev: VfioPciDevice) -> None:
        if kind:
            getattr(vdev.memory_lock, kind)()

    return zap


@pytest.mark.parametrize(
    ("kind", "rule"),
    [
        ("down_write", ""),
        ("down_read", "command_written_under_memory_lock"),
        ("", "command_written_under_memory_lock"),
    ],
)
def test_the_command_is_written_under_memory_lock_for_write(kind: str, rule: str) -> None:
    design = replace(huge_fault.design, name="zap", zap_and_down_write_memory_lock=zap_hook(kind))

    def code(place: Place) -> None:
        vfio_basic_config_write(place.vdev, 0)

    assert alone(code, design=design, kernel="v6.16").rule == rule
    # From v6.19 on the revoke of dma-bufs comes first, and asserts the lock.
    assert alone(code, design=design).rule == (rule and "lockdep_assert_held")


def test_enabling_memory_needs_no_zap() -> None:
    design = replace(huge_fault.design, name="zap", zap_and_down_write_memory_lock=zap_hook(""))

    def code(place: Place) -> None:
        vfio_basic_config_write(place.vdev, 2)

    assert alone(code, design=design).rule == ""


def test_user_space_is_reached_with_no_lock() -> None:
    def code(place: Place) -> None:
        with place.mm.mmap_lock.read():
            pass
        return_to_user_space()

    assert alone(code).rule == ""


def test_user_space_is_not_reached_with_a_lock() -> None:
    def code(place: Place) -> None:
        place.mm.mmap_lock.down_write()
        place.vdev.memory_lock.down_read()
        return_to_user_space()

    outcome = alone(code)

    assert outcome.rule == "no_lock_held_in_user_space"
    assert outcome.evidence == (
        "task holds mm.mmap_lock for write (step 1), vdev.memory_lock for read (step 2).",
    )


def test_a_lock_is_released_only_by_who_holds_it() -> None:
    assert alone(lambda place: mmap_read_unlock(place.mm)).rule == "lock_balance"


def test_a_lock_held_for_write_is_not_released_for_read() -> None:
    def code(place: Place) -> None:
        place.mm.mmap_lock.down_write()
        mmap_read_unlock(place.mm)

    assert alone(code).rule == "lock_balance"


def test_an_address_beside_the_vma_is_a_signal_not_a_rule() -> None:
    def code(place: Place) -> object:
        return vmf_insert_pfn(place.vma, place.vma.vm_end + PAGE_SIZE, place.vdev.bar_pfn(0))

    outcome = alone(with_mmap_read(code))

    assert outcome.rule == ""
    assert repr(outcome.returned) == "<vm_fault_t.VM_FAULT_SIGBUS: 2>"
