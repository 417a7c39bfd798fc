"""The life of an mm and of a file: references, and what the last one does."""

from dataclasses import replace

import pytest

from pfnlab import Scenario, explore, replay
from pfnlab.catalogue import all_designs
from pfnlab.designs import huge_fault
from pfnlab.engine.current import running
from pfnlab.kernel import (
    PAGE_SIZE,
    Lab,
    Mm,
    Vma,
    mmdrop,
    mmget,
    mmget_not_zero,
    mmgrab,
    mmput,
)
from pfnlab.kernel.file import File
from pfnlab.kernel.vma import held_for
from pfnlab.rules import RULES
from tests.kernel.alone import Place, alone, leaves_seen


def test_exit_takes_leaves_links_and_the_mm_away() -> None:
    def code(place: Place) -> tuple[int, int]:
        place.lab.touch(place.mapping)
        mmgrab(place.mm)
        place.lab.exit()
        left = len(leaves_seen(place.mm)), len(place.vdev.mapping.i_mmap)
        mmdrop(place.mm)
        return left

    assert alone(code).returned == (0, 0)


def test_an_mm_is_not_used_after_the_last_reference() -> None:
    def code(place: Place) -> None:
        place.lab.exit()
        leaves_seen(place.mm)

    outcome = alone(code)

    assert outcome.rule == "no_use_after_free"
    assert outcome.evidence == ("task uses mm, which has been freed.",)


def test_a_second_user_keeps_the_mappings() -> None:
    def code(place: Place) -> int:
        place.lab.touch(place.mapping)
        mmget(place.mm)
        place.lab.exit()
        left = len(leaves_seen(place.mm))
        mmput(place.mm)
        return left

    outcome = alone(code)

    assert outcome.rule == ""
    assert outcome.returned == 1


def test_a_dying_mm_has_no_new_users() -> None:
    def code(place: Place) -> tuple[bool, bool]:
        mmgrab(place.mm)
        before = mmget_not_zero(place.mm)
        mmput(place.mm)
        place.lab.exit()
        return before, mmget_not_zero(place.mm)

    assert alone(code).returned == (True, False)


def test_exit_zaps_for_read_and_closes_for_write() -> None:
    held: list[str] = []

    def close(vma: Vma) -> None:
        held.append(held_for(vma.vm_mm.mmap_lock))

    ops = replace(huge_fault.design.vm_ops, close=close)
    outcome = alone(
        lambda place: place.lab.exit(), design=replace(huge_fault.design, name="c", vm_ops=ops)
    )
    found = outcome.result.findings

    assert not found
    assert set(held) == {"write"}


class Counted:
    """How often the device of a scenario was released."""

    def __init__(self) -> None:
        self.released = 0

    def release(self, file: File) -> None:
        assert not held_for(file.mapping.i_mmap_rwsem)
        self.released += 1


@pytest.mark.parametrize("kept_by", ["fd", "mapping", "child", "part", "nobody"])
def test_a_file_is_released_with_its_last_user(
    kept_by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    counted = Counted()

    def release(file: File) -> None:
        counted.release(file)

    monkeypatch.setattr("pfnlab.kernel.vfio.vfio_device_fops_release", release)

    def code(place: Place) -> tuple[int, int]:
        counted.released = 0
        if kept_by == "child":
            place.lab.fork()
        if kept_by == "part":
            place.lab.munmap(place.mapping, PAGE_SIZE)
        elif kept_by != "mapping":
            place.lab.munmap(place.mapping)
        if kept_by != "fd":
            place.lab.close(place.vdev)
        return counted.released, place.vdev.file.f_count

    expected = (1, 0) if kept_by == "nobody" else (0, 1)
    assert alone(code).returned == expected


def test_the_release_waits_until_no_lock_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    held: list[str] = []
    mms: list[Mm] = []

    def release(_file: File) -> None:
        held.append(held_for(mms[-1].mmap_lock))

    monkeypatch.setattr("pfnlab.kernel.vfio.vfio_device_fops_release", release)

    def code(place: Place) -> None:
        mms.append(place.mm)
        place.lab.close(place.vdev)
        place.lab.munmap(place.mapping)

    alone(code)

    assert set(held) == {""}


# v6.1, as on v6.9 fork breaks those that keep a list.
@pytest.mark.parametrize("name", ["huge_fault", "insert_page_on_fault", "remap_on_fault"])
def test_a_process_exits_while_memory_is_turned_off(name: str) -> None:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)
        other = lab.mmap(vdev, mm=lab.process())

        @lab.task
        def process() -> None:
            lab.touch(mapping)
            lab.exit()

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)
        assert other.mm is not mapping.mm

    rules = ["D1", "R7", "R22", "D4", "L2", "no_deadlock"]
    result = explore(Scenario("exits", "A process exits.", build), all_designs()[name], rules=rules)

    assert result.verdict == "ok"
    assert 1 < result.schedules < 200


def test_two_threads_end_and_the_second_takes_the_mm_along() -> None:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)
        lab.thread()

        @lab.task
        def first() -> None:
            lab.touch(mapping)
            lab.exit()

        @lab.task
        def second() -> None:
            lab.touch(mapping)
            lab.exit()

        lab.always(*RULES)

    result = explore(Scenario("threads", "Two threads.", build), huge_fault.design)

    assert result.verdict == "ok"


def test_the_zap_of_a_list_may_be_what_ends_a_process() -> None:
    """The last mmput() is in the zap: ->close takes vma_lock, which is free by then."""
    enders: set[str] = set()
    remap = all_designs()["remap_on_fault"]

    def close(vma: Vma) -> None:
        enders.add(running()[1].name)
        assert remap.vm_ops.close is not None
        remap.vm_ops.close(vma)

    design = replace(remap, name="tells", vm_ops=replace(remap.vm_ops, close=close))

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)

        @lab.task
        def process() -> None:
            lab.touch(mapping)
            lab.exit()

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)

    rules = ["D1", "R7", "R22", "L2", "no_deadlock"]
    result = explore(Scenario("ends", "A process ends.", build), design, rules=rules)

    assert result.verdict == "ok"
    assert enders == {"process", "config"}


def test_a_task_that_is_no_thread_of_its_process_uses_a_freed_mm() -> None:
    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())

        @lab.task
        def vcpu() -> None:
            lab.touch(mapping)

        @lab.task
        def process() -> None:
            lab.exit()

    scenario = Scenario("no_thread", "A process exits; a vCPU goes on.", build)
    result = explore(scenario, huge_fault.design)

    assert result.violation is not None
    assert result.violation.rule == "no_use_after_free"
    again = replay(scenario, huge_fault.design, result.schedule)
    assert again is not None
    assert again.violation == result.violation
