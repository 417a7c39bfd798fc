"""madvise and mprotect: flags of a part of a mapping."""

import pytest

from pfnlab.kernel import (
    EINVAL,
    ENOMEM,
    MADV_DOFORK,
    MADV_DONTFORK,
    MADV_DONTNEED,
    MADV_HUGEPAGE,
    MADV_NOHUGEPAGE,
    PAGE_SIZE,
    PROT_NONE,
    PROT_READ,
    VM_DONTCOPY,
    VM_FAULT_SIGSEGV,
)
from pfnlab.kernel.madvise import MADV_COLD, MADV_DODUMP, MADV_FREE, MADV_PAGEOUT
from pfnlab.kernel.vma import VM_HUGEPAGE, VM_NOHUGEPAGE, VM_READ, VM_WRITE
from tests.kernel.alone import Place, alone, leaves_seen


@pytest.mark.parametrize(
    "advice",
    [MADV_DONTNEED, MADV_FREE, MADV_COLD, MADV_PAGEOUT, MADV_DOFORK, MADV_DODUMP],
)
def test_advice_that_device_memory_cannot_follow_is_refused(advice: int) -> None:
    def code(place: Place) -> tuple[int, int]:
        place.lab.touch(place.mapping)
        return place.lab.madvise(place.mapping, advice), len(leaves_seen(place.mm))

    assert alone(code).returned == (-EINVAL, 1)


@pytest.mark.parametrize(
    ("advice", "flag"),
    [
        (MADV_DONTFORK, VM_DONTCOPY),
        (MADV_HUGEPAGE, VM_HUGEPAGE),
        (MADV_NOHUGEPAGE, VM_NOHUGEPAGE),
    ],
)
def test_advice_on_a_part_cuts_the_vma(advice: int, flag: int) -> None:
    def code(place: Place) -> tuple[int, list[bool]]:
        error = place.lab.madvise(place.mapping, advice, PAGE_SIZE, 2 * PAGE_SIZE)
        vmas = sorted(place.mm.vmas, key=lambda vma: vma.vm_start)
        return error, [bool(vma.vm_flags & flag) for vma in vmas]

    assert alone(code).returned == (0, [False, True, False])


def test_no_length_is_no_error_and_changes_nothing() -> None:
    def code(place: Place) -> tuple[int, int, int]:
        errors = [
            place.lab.madvise(place.mapping, MADV_DONTFORK, PAGE_SIZE, 0),
            place.lab.mprotect(place.mapping, PROT_NONE, PAGE_SIZE, 0),
        ]
        return (*errors, len(place.mm.vmas))

    assert alone(code).returned == (0, 0, 1)


def test_the_last_advice_on_huge_pages_counts() -> None:
    def code(place: Place) -> int:
        place.lab.madvise(place.mapping, MADV_NOHUGEPAGE)
        place.lab.madvise(place.mapping, MADV_HUGEPAGE)
        return place.vma.vm_flags & (VM_HUGEPAGE | VM_NOHUGEPAGE)

    assert alone(code).returned == VM_HUGEPAGE


def test_advice_that_changes_nothing_cuts_nothing() -> None:
    def code(place: Place) -> int:
        place.lab.madvise(place.mapping, MADV_DONTFORK)
        place.lab.madvise(place.mapping, MADV_DONTFORK, PAGE_SIZE, PAGE_SIZE)
        return len(place.mm.vmas)

    assert alone(code).returned == 1


def test_a_gap_gives_enomem_and_the_rest_is_advised() -> None:
    def code(place: Place) -> tuple[int, list[int]]:
        place.lab.munmap(place.mapping, PAGE_SIZE, PAGE_SIZE)
        error = place.lab.madvise(place.mapping, MADV_DONTFORK)
        return error, [vma.vm_flags & VM_DONTCOPY for vma in place.mm.vmas]

    assert alone(code).returned == (-ENOMEM, [VM_DONTCOPY, VM_DONTCOPY])


def test_a_child_does_not_get_what_is_not_to_be_forked() -> None:
    def code(place: Place) -> tuple[object, object]:
        place.lab.madvise(place.mapping, MADV_DONTFORK, PAGE_SIZE)
        in_child = place.mapping.of(place.lab.fork())
        return place.lab.touch(in_child), place.lab.touch(in_child, PAGE_SIZE)

    assert alone(code).returned == (0, VM_FAULT_SIGSEGV)


def test_mprotect_of_a_part_cuts_the_vma() -> None:
    def code(place: Place) -> tuple[int, list[int]]:
        error = place.lab.mprotect(place.mapping, PROT_READ, PAGE_SIZE, PAGE_SIZE)
        vmas = sorted(place.mm.vmas, key=lambda vma: vma.vm_start)
        return error, [vma.vm_flags & (VM_READ | VM_WRITE) for vma in vmas]

    both = VM_READ | VM_WRITE
    assert alone(code).returned == (0, [both, VM_READ, both])


def test_nobody_may_touch_what_is_prot_none() -> None:
    def code(place: Place) -> tuple[object, object]:
        place.lab.mprotect(place.mapping, PROT_NONE, PAGE_SIZE)
        return place.lab.touch(place.mapping), place.lab.touch(place.mapping, PAGE_SIZE)

    assert alone(code).returned == (0, VM_FAULT_SIGSEGV)


def test_mprotect_stops_at_a_gap() -> None:
    def code(place: Place) -> tuple[int, list[int]]:
        place.lab.munmap(place.mapping, PAGE_SIZE, PAGE_SIZE)
        error = place.lab.mprotect(place.mapping, PROT_NONE)
        vmas = sorted(place.mm.vmas, key=lambda vma: vma.vm_start)
        return error, [vma.vm_flags & VM_READ for vma in vmas]

    assert alone(code).returned == (-ENOMEM, [0, VM_READ])
