"""The lock of a VMA: who may take it, when it falls, and what a lookup without mmap_lock sees."""

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs.huge_fault import design
from pfnlab.engine.current import running
from pfnlab.kernel import (
    PAGE_SIZE,
    VM_DONTCOPY,
    Lab,
    Mm,
    Vma,
    i_mmap_lock_write,
    i_mmap_unlock_write,
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
    mutex_lock,
    mutex_unlock,
    vm_flags_set,
    vma_end_read,
)
from pfnlab.kernel.vma import lock_vma_under_rcu
from pfnlab.kernel.vma_lock import vma_is_write_locked, vma_mark_detached, vma_start_write
from pfnlab.scenarios.zaps import munmap_vs_fault, zap_vs_fault
from tests.kernel.alone import Place, alone


def locks() -> list[tuple[str, str]]:
    """What the running task holds, without the names of objects."""
    return [(hold.lock.name.rpartition(".")[2], hold.mode) for hold in running()[1].held]


def test_a_write_lock_falls_with_mmap_lock() -> None:
    def code(place: Place) -> tuple[bool, list[tuple[str, str]]]:
        mmap_write_lock(place.mm)
        vma_start_write(place.vma)
        vma_start_write(place.vma)
        locked = vma_is_write_locked(place.vma)
        mmap_write_unlock(place.mm)
        return locked, locks()

    assert alone(code).returned == (True, [])


def test_a_write_lock_falls_when_mmap_lock_is_downgraded() -> None:
    def code(place: Place) -> list[tuple[str, str]]:
        mmap_write_lock(place.mm)
        vma_start_write(place.vma)
        mmap_write_downgrade(place.mm)
        held = locks()
        mmap_read_unlock(place.mm)
        return held

    assert alone(code).returned == [("mmap_lock", "read")]


def write_with_verbs(place: Place) -> list[tuple[str, str]]:
    mmap_write_lock(place.mm)
    vma_start_write(place.vma)
    mmap_write_unlock(place.mm)
    return locks()


def write_with_a_block(place: Place) -> list[tuple[str, str]]:
    with place.mm.mmap_lock.write():
        vma_start_write(place.vma)
    return locks()


def test_a_block_takes_and_ends_the_write_locks_as_the_verbs_do() -> None:
    verbs, block = alone(write_with_verbs), alone(write_with_a_block)

    assert block.returned == verbs.returned == []
    assert block.result.steps == verbs.result.steps > 3


@pytest.mark.parametrize("mode", ["read", "write"])
def test_a_block_may_not_wait_for_mmap_lock_under_the_lock_of_a_vma(mode: str) -> None:
    def code(place: Place) -> None:
        vma = lock_vma_under_rcu(place.mm, place.mapping.address)
        assert vma is not None
        with getattr(place.mm.mmap_lock, mode)():
            pass

    outcome = alone(code)

    assert outcome.rule == "no_mmap_lock_under_vma_lock"
    assert outcome.evidence[0].endswith(" for read and waits for mm.mmap_lock.")


def test_a_vma_of_another_mm_stays_locked() -> None:
    def code(place: Place) -> list[tuple[str, str]]:
        child = place.lab.fork()
        (vma,) = child.vmas
        mmap_write_lock(place.mm)
        child.mmap_lock.down_write(subclass=1)
        vma_start_write(vma)
        mmap_write_unlock(place.mm)
        held = locks()
        mmap_write_unlock(child)
        return held

    assert alone(code).returned == [("mmap_lock", "write"), ("vm_lock", "write")]


def test_the_setter_of_vm_flags_locks_the_vma() -> None:
    def code(place: Place) -> bool:
        mmap_write_lock(place.mm)
        vm_flags_set(place.vma, VM_DONTCOPY)
        locked = vma_is_write_locked(place.vma)
        mmap_write_unlock(place.mm)
        return locked

    assert alone(code).returned is True


@pytest.mark.parametrize("page", [-1, 0, 3, 4])
def test_a_lookup_finds_the_vma_of_an_address_and_locks_it(page: int) -> None:
    def code(place: Place) -> tuple[bool, list[tuple[str, str]]]:
        found = lock_vma_under_rcu(place.mm, place.mapping.address + page * PAGE_SIZE)
        held = locks()
        if found is not None:
            vma_end_read(found)
        return found is place.vma, held

    inside = 0 <= page < 4
    assert alone(code).returned == (inside, [("vm_lock", "read")] if inside else [])


def test_a_lookup_fails_while_a_writer_has_the_vma() -> None:
    def code(place: Place) -> Vma | None:
        mmap_write_lock(place.mm)
        vma_start_write(place.vma)
        found = lock_vma_under_rcu(place.mm, place.mapping.address)
        mmap_write_unlock(place.mm)
        return found

    assert alone(code).returned is None


def test_a_vma_that_was_detached_is_looked_up_again() -> None:
    """Found in the list, locked, and seen to be on its way out: the second look finds nothing."""
    found: list[Vma | None] = []
    looks: list[int] = []

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())
        mm: Mm = mapping.mm
        (vma,) = mm.vmas

        @lab.task
        def reader() -> None:
            result = lock_vma_under_rcu(mm, mapping.address)
            found.append(result)
            looks.append(running()[1].steps)
            if result is not None:
                assert not vma.vm_lock.detached
                vma_end_read(result)

        @lab.task
        def writer() -> None:
            mmap_write_lock(mm)
            vma_start_write(vma)
            vma_mark_detached(vma, True)
            mm.vmas.remove(vma)
            mmap_write_unlock(mm)

    scenario = Scenario("lookup", "A lookup beside an unmap.", build)
    reduced = explore(scenario, design)
    assert (reduced.verdict, reduced.complete) == ("ok", True)

    found.clear()
    looks.clear()
    result = explore(scenario, design, policy="exhaustive")  # which runs the code each time

    assert (result.verdict, result.complete) == ("ok", True)
    assert None in found
    assert any(vma is not None for vma in found)
    # Nothing there; a trylock that fails or succeeds; detached, so let go and looked again.
    assert set(looks) == {1, 2, 4}


def test_a_fault_under_the_vma_lock_makes_munmap_wait() -> None:
    """munmap() frees the VMA, and nobody uses it afterwards: in every interleaving."""
    result = explore(munmap_vs_fault, design)

    assert (result.verdict, result.complete) == ("ok", True)


def test_a_vma_used_after_retry_is_used_after_free() -> None:
    """R6: without a lock the pointer is good for nothing."""

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())

        @lab.task
        def caller() -> None:
            vma = lock_vma_under_rcu(mapping.mm, mapping.address)
            if vma is not None:
                vma_end_read(vma)
                vma.contains(mapping.address)

        @lab.task
        def munmap() -> None:
            lab.munmap(mapping)

    result = explore(Scenario("stale", "A VMA is used after its lock.", build), design)

    assert result.violation is not None
    assert result.violation.rule == "no_use_after_free"


def test_geometry_written_beside_a_fault_without_the_vma_lock_is_a_data_race() -> None:
    """R1, R2: mmap_lock for write does not keep a fault under the VMA lock away."""

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())
        (vma,) = mapping.mm.vmas

        @lab.task
        def vcpu() -> None:
            lab.touch(mapping)

        @lab.task
        def mremap() -> None:
            mmap_write_lock(mapping.mm)
            vma.vm_end = vma.vm_end - PAGE_SIZE
            mmap_write_unlock(mapping.mm)

    shrink = Scenario("shrink", "A VMA shrinks beside a fault.", build)
    result = explore(shrink, design, rules=["no_data_race"])

    assert result.violation is not None
    assert result.violation.rule == "no_data_race"
    assert "vm_end" in result.violation.evidence[0]


@pytest.mark.parametrize("scenario", [munmap_vs_fault, zap_vs_fault], ids=lambda s: s.name)
def test_kernels_without_the_lock_take_no_step_for_it(scenario: Scenario) -> None:
    before = explore(scenario, design, kernel="v6.4")
    after = explore(scenario, design, kernel="v6.12")

    assert before.steps < after.steps


def test_a_reader_that_holds_another_lock_may_still_wait_for_mmap_lock() -> None:
    def code(place: Place) -> list[tuple[str, str]]:
        mutex_lock(place.vdev.device_lock)
        mmap_read_lock(place.mm)
        held = locks()
        mmap_read_unlock(place.mm)
        mutex_unlock(place.vdev.device_lock)
        return held

    assert alone(code).returned == [("device_lock", ""), ("mmap_lock", "read")]


def test_a_new_vma_needs_no_lock_to_be_filled_in() -> None:
    def code(place: Place) -> int:
        vma = Vma(place.mm, 0, PAGE_SIZE, 0, 0)
        vma.vm_end = 2 * PAGE_SIZE
        return vma.vm_end

    assert alone(code).returned == 2 * PAGE_SIZE


def test_all_three_locks_are_enough_to_move_a_vma() -> None:
    def code(place: Place) -> int:
        mmap_write_lock(place.mm)
        vma_start_write(place.vma)
        i_mmap_lock_write(place.vdev.mapping)
        place.vma.vm_end = place.vma.vm_end - PAGE_SIZE
        i_mmap_unlock_write(place.vdev.mapping)
        mmap_write_unlock(place.mm)
        return 1

    assert (alone(code).rule, alone(code).returned) == ("", 1)


def test_any_number_of_vmas_may_be_locked_for_write() -> None:
    def code(place: Place) -> list[tuple[str, str]]:
        other = Vma(place.mm, 0, PAGE_SIZE, 0, 0)
        mmap_write_lock(place.mm)
        vma_start_write(place.vma)
        vma_start_write(other)
        held = locks()
        mmap_write_unlock(place.mm)
        return held

    outcome = alone(code)

    assert outcome.rule == ""
    assert outcome.returned == [("mmap_lock", "write"), ("vm_lock", "write"), ("vm_lock", "write")]
