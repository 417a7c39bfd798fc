"""fixup_user_fault(): what it allows a handler, and what it makes of the codes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab import Design, Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.engine.signal import kill
from pfnlab.engine.step import begin_trying, done_trying
from pfnlab.kernel import (
    EFAULT,
    EINTR,
    EINVAL,
    ENOMEM,
    FAULT_FLAG_ALLOW_RETRY,
    FAULT_FLAG_KILLABLE,
    FAULT_FLAG_REMOTE,
    FAULT_FLAG_TRIED,
    FAULT_FLAG_WRITE,
    PAGE_SIZE,
    VM_FAULT_COMPLETED,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    VM_FAULT_RETRY,
    VM_FAULT_SIGBUS,
    Errno,
    Lab,
    VfioPciDevice,
    Vma,
    VmFault,
    VmOperations,
    mmap_read_lock,
    mmap_read_unlock,
    vm_fault_t,
)
from pfnlab.kernel.fault_codes import FaultFlag
from pfnlab.kernel.futex import FLAGS_SHARED, futex_wake_op
from pfnlab.kernel.gup import (
    FollowPfnmapArgs,
    Unlocked,
    fixup_user_fault,
    follow_pfnmap_end,
    follow_pfnmap_start,
    vm_fault_to_errno,
)
from pfnlab.kernel.vma import VM_WRITE, held_for, vm_flags_clear
from tests.kernel.alone import Outcome, Place, alone, leaves_seen

Handler = Callable[[VmFault], vm_fault_t]
PFN = 0x3800000


def with_handler(handler: Handler) -> Design:
    return replace(huge_fault.design, name="handler", vm_ops=VmOperations(fault=handler))


def fixup(
    place: Place, unlocked: Unlocked | None, flags: FaultFlag = FAULT_FLAG_WRITE, offset: int = 0
) -> tuple[int, str]:
    """The error, and how mmap_lock is held afterwards."""
    begin_trying()
    mmap_read_lock(place.mm)
    error = fixup_user_fault(place.mm, place.mapping.address + offset, flags, unlocked)
    held = held_for(place.mm.mmap_lock)
    mmap_read_unlock(place.mm)
    done_trying()
    return error, held


def flags_seen(unlocked: Callable[[], Unlocked | None]) -> Outcome:
    def handler(vmf: VmFault) -> vm_fault_t:
        seen.append(vmf.flags)
        return huge_fault.page_fault(vmf)

    def code(place: Place) -> list[FaultFlag]:
        seen.clear()
        fixup(place, unlocked(), FAULT_FLAG_WRITE | FAULT_FLAG_REMOTE)
        return list(seen)

    seen: list[FaultFlag] = []
    return alone(code, design=with_handler(handler))


def test_with_unlocked_a_fault_may_be_tried_again_and_killed() -> None:
    assert flags_seen(Unlocked).returned == [
        FAULT_FLAG_WRITE | FAULT_FLAG_REMOTE | FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE
    ]


def test_without_unlocked_it_may_not() -> None:
    assert flags_seen(lambda: None).returned == [FAULT_FLAG_WRITE | FAULT_FLAG_REMOTE]


def test_a_fault_that_succeeds_leaves_unlocked_false() -> None:
    def code(place: Place) -> tuple[object, ...]:
        unlocked = Unlocked()
        return *fixup(place, unlocked), unlocked.is_true, len(leaves_seen(place.mm))

    assert alone(code).returned == (0, "read", False, 1)


def completed(vmf: VmFault) -> vm_fault_t:
    """Maps the page and drops mmap_lock."""
    fault = huge_fault.page_fault(vmf)
    if fault != VM_FAULT_NOPAGE:
        return fault
    mmap_read_unlock(vmf.vma.vm_mm)
    return VM_FAULT_NOPAGE | VM_FAULT_COMPLETED


def retry_once(vmf: VmFault) -> vm_fault_t:
    """Drops mmap_lock on the first try, and maps the page on the second."""
    if vmf.flags & FAULT_FLAG_TRIED:
        return huge_fault.page_fault(vmf)
    mmap_read_unlock(vmf.vma.vm_mm)
    return VM_FAULT_RETRY


@pytest.mark.parametrize("handler", [completed, retry_once], ids=lambda f: f.__name__)
def test_a_lock_that_was_dropped_is_taken_again_and_unlocked_says_so(handler: Handler) -> None:
    def code(place: Place) -> tuple[object, ...]:
        unlocked = Unlocked()
        return *fixup(place, unlocked), unlocked.is_true, len(leaves_seen(place.mm))

    assert alone(code, design=with_handler(handler)).returned == (0, "read", True, 1)


@pytest.mark.parametrize("handler", [completed, retry_once], ids=lambda f: f.__name__)
def test_without_unlocked_a_handler_that_drops_the_lock_breaks_its_rule(handler: Handler) -> None:
    outcome = alone(lambda place: fixup(place, None), design=with_handler(handler))

    assert outcome.rule == "mmap_lock_dropped_only_if_allowed"
    assert outcome.evidence[0].endswith("without FAULT_FLAG_ALLOW_RETRY.")


@pytest.mark.parametrize(
    ("fault", "error"),
    [
        (VM_FAULT_NOPAGE, 0),
        (VM_FAULT_SIGBUS, -EFAULT),
    ],
)
@pytest.mark.parametrize("unlocked", [Unlocked, lambda: None])
def test_a_code_becomes_an_error_number(
    unlocked: Callable[[], Unlocked | None], fault: vm_fault_t, error: int
) -> None:
    design = with_handler(lambda _vmf: fault)

    assert alone(lambda place: fixup(place, unlocked()), design=design).returned == (error, "read")


@pytest.mark.parametrize("fault", [VM_FAULT_OOM, VM_FAULT_OOM | VM_FAULT_SIGBUS])
def test_out_of_memory_comes_first(fault: vm_fault_t) -> None:
    assert vm_fault_to_errno(fault) == -ENOMEM


def test_no_vma_is_efault() -> None:
    assert alone(lambda place: fixup(place, Unlocked(), offset=64 * PAGE_SIZE)).returned == (
        -EFAULT,
        "read",
    )


@pytest.mark.parametrize(("flags", "error"), [(FAULT_FLAG_WRITE, -EFAULT), (FaultFlag(0), 0)])
def test_a_vma_that_allows_reads_allows_no_write(flags: FaultFlag, error: int) -> None:
    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        error = huge_fault.mmap(vdev, vma)
        vm_flags_clear(vma, VM_WRITE)
        return error

    design = replace(huge_fault.design, name="read_only", mmap=mmap)

    assert alone(lambda place: fixup(place, None, flags), design=design).returned == (error, "read")


def test_a_fatal_signal_ends_a_fault_that_may_be_killed() -> None:
    def code(place: Place) -> list[int]:
        kill("task")
        return [fixup(place, Unlocked())[0], fixup(place, None)[0]]

    assert alone(code).returned == [-EINTR, 0]


def test_a_handler_that_always_retries_is_a_livelock() -> None:
    def handler(vmf: VmFault) -> vm_fault_t:
        mmap_read_unlock(vmf.vma.vm_mm)
        return VM_FAULT_RETRY

    outcome = alone(lambda place: fixup(place, Unlocked()), design=with_handler(handler))

    assert outcome.rule == "no_livelock"
    assert outcome.result.complete


def test_a_handler_that_retries_until_memory_is_back_is_none() -> None:
    def handler(vmf: VmFault) -> vm_fault_t:
        fault = huge_fault.page_fault(vmf)
        if fault != VM_FAULT_SIGBUS:
            return fault
        mmap_read_unlock(vmf.vma.vm_mm)
        return VM_FAULT_RETRY

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(PAGE_SIZE)
        mapping = lab.mmap(vdev)
        lab.write_command(vdev, memory=False)

        @lab.task
        def task() -> None:
            begin_trying()
            mmap_read_lock(mapping.mm)
            error = fixup_user_fault(mapping.mm, mapping.address, FAULT_FLAG_WRITE, Unlocked())
            mmap_read_unlock(mapping.mm)
            done_trying()
            assert error == 0

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=True)

    result = explore(Scenario("retries", "Until memory is back.", build), with_handler(handler))

    assert (result.violation, result.complete) == (None, True)


def lookup(place: Place, page: int) -> tuple[int, ...]:
    """The error; and if there is none the pfn, what the leaf maps, and if it may be written."""
    args = FollowPfnmapArgs(place.vma, place.mapping.address + page * PAGE_SIZE)
    with place.mm.mmap_lock.read():
        error = follow_pfnmap_start(args)
        if error:
            return (error,)
        seen = args.pfn, ~args.addr_mask + 1, args.writable
        follow_pfnmap_end(args)
    return 0, *seen


@pytest.mark.parametrize("page", [0, 3])
def test_a_lookup_finds_the_pfn_of_a_page_inside_of_a_large_leaf(page: int) -> None:
    def code(place: Place) -> tuple[int, ...]:
        place.lab.touch(place.mapping)
        return lookup(place, page)

    assert alone(code).returned == (0, PFN + page, 4 * PAGE_SIZE, True)


def test_a_leaf_of_a_read_only_vma_may_not_be_written() -> None:
    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        error = huge_fault.mmap(vdev, vma)
        vm_flags_clear(vma, VM_WRITE)
        return error

    def code(place: Place) -> tuple[int, ...]:
        place.lab.touch(place.mapping, offset=3 * PAGE_SIZE)
        return lookup(place, 3)

    design = replace(huge_fault.design, name="read_only", mmap=mmap)
    assert alone(code, design=design).returned == (0, PFN + 3, 4 * PAGE_SIZE, False)


@pytest.mark.parametrize("page", [0, 4])
def test_a_lookup_finds_nothing_where_nothing_is_mapped(page: int) -> None:
    assert alone(lambda place: lookup(place, page)).returned == (-EINVAL,)


def test_a_lookup_is_allowed_under_the_rmap_lock() -> None:
    def code(place: Place) -> None:
        with place.vdev.mapping.i_mmap_rwsem.read():
            follow_pfnmap_start(FollowPfnmapArgs(place.vma, place.mapping.address))

    assert alone(code).rule == ""


def test_a_lookup_without_a_lock_breaks_its_rule() -> None:
    outcome = alone(
        lambda place: follow_pfnmap_start(FollowPfnmapArgs(place.vma, place.mapping.address))
    )

    assert outcome.rule == "pfnmap_lookup_under_lock"
    assert outcome.evidence == ("task holds neither mm.mmap_lock nor vdev.mapping.i_mmap_rwsem.",)


@pytest.mark.parametrize(("memory", "error"), [(True, 0), (False, -EFAULT)])
def test_a_futex_on_a_bar_is_faulted_in(memory: bool, error: int) -> None:
    def code(place: Place) -> tuple[int, bool]:
        place.lab.write_command(place.vdev, memory=memory)
        returned = futex_wake_op(place.mm, place.mapping.address)
        return returned, bool(leaves_seen(place.mm))

    assert alone(code).returned == (error, memory)


@pytest.mark.parametrize(
    ("offset", "flags", "error"), [(0, FLAGS_SHARED, -EFAULT), (2, 0, -EINVAL)]
)
def test_a_futex_that_has_no_key_is_not_faulted_in(offset: int, flags: int, error: int) -> None:
    def code(place: Place) -> tuple[int, bool]:
        returned = futex_wake_op(place.mm, place.mapping.address + offset, flags)
        return returned, bool(leaves_seen(place.mm))

    assert alone(code).returned == (error, False)
