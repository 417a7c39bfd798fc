"""A saved counterexample is followed by what its steps are about, not by their number."""

from typing import Any

import pytest

from pfnlab.engine import Program, Shared, choose, mutex, rw_semaphore, violate, word
from pfnlab.engine.program import Rule
from pfnlab.explorer.follow import Followed, follow_saved
from pfnlab.explorer.saved import Saved, SavedStep, Source, steps_of
from tests.explorer.oracles import Build, searched

WRONG = Rule("wrong", "This is wrong.")


class Device(Shared):
    ready = word(False)
    mapped = word(False)
    extra = word(0)
    lock = mutex()
    memory_lock = rw_semaphore()

    def __init__(self) -> None:
        self.name = "device"


def program(*, before: Any = None, locked: bool = False, checks: bool = True) -> Build:
    """One task tests and then maps, another takes the device away; edits go in between."""

    def build(lab: Program) -> None:
        device = Device()

        @lab.task
        def fault() -> None:
            if before:
                before(device)
            if locked:
                device.lock.lock()
            if not device.ready:
                device.mapped = True
            if locked:
                device.lock.unlock()

        @lab.task
        def zap() -> None:
            if locked:
                device.lock.lock()
            device.ready = True
            if device.mapped and checks:
                violate(WRONG)
            device.mapped = False
            if locked:
                device.lock.unlock()

    return build


def save(build: Build) -> Saved:
    (finding,) = searched(build).result.findings  # type: ignore[attr-defined]
    source = Source("program", "program", "")
    runs = steps_of(Program, build, finding.schedule)
    rule = finding.violation.rule
    return Saved("0", source, source, None, None, rule, finding.schedule, runs)


def after(edited: Build) -> Followed:
    return follow_saved(Program, edited, save(program()))


def partings(followed: Followed) -> list[tuple[int, str, str, str]]:
    return [(p.saved.step, str(p.saved), p.how, p.now) for p in followed.partings]


def test_what_is_saved_names_every_step() -> None:
    saved = save(program())

    assert [(s.step, s.task, str(s)) for s in saved.runs[0]] == [
        (1, "fault", "read device.ready"),
        (2, "fault", "write device.mapped"),
        (3, "zap", "write device.ready"),
        (4, "zap", "read device.mapped"),
    ]
    assert all(step.site.startswith("test_follow.py:") for step in saved.runs[0])


def test_it_is_followed_to_the_end_where_nothing_has_changed() -> None:
    followed = after(program())

    assert followed.finding is not None
    assert followed.finding.violation.rule == "wrong"
    assert (followed.schedule, followed.partings) == ("fault:2,zap:3", ())


def test_a_new_step_is_made_and_told() -> None:
    followed = after(program(before=lambda device: device.extra))

    assert followed.finding is not None
    assert followed.schedule == "fault:3,zap:3"
    assert partings(followed) == [(1, "read device.ready", "does", "read device.extra")]


def looks_twice(*, once_more: bool) -> Build:
    def build(lab: Program) -> None:
        device = Device()

        @lab.task
        def fault() -> None:
            first = device.ready
            if once_more:
                first = device.ready
            device.mapped = True
            if device.ready and not first:
                violate(WRONG)

        @lab.task
        def zap() -> None:
            device.ready = True

    return build


def test_a_new_step_that_looks_like_a_later_one_is_told_from_steps_that_are_gone() -> None:
    followed = follow_saved(
        Program, looks_twice(once_more=True), save(looks_twice(once_more=False))
    )

    assert followed.finding is not None
    assert followed.schedule == "fault:3,zap:1,fault:2"
    assert partings(followed)[0][2:] == ("does", "read device.ready")


def hands_over(*, locked: bool) -> Build:
    """A task writes two words, and another one reads them; with a lock it has to wait."""

    def build(lab: Program) -> None:
        device = Device()

        @lab.task
        def reader() -> None:
            if locked:
                device.lock.lock()
            first = device.ready
            if locked:
                device.memory_lock.down_read()
            if device.mapped and not first:
                violate(WRONG)

        @lab.task
        def writer() -> None:
            device.extra = 1
            if locked:
                device.lock.lock()
            device.ready = True
            if locked:
                device.lock.unlock()
                device.memory_lock.down_read()
            device.mapped = True

    return build


def test_where_tasks_part_is_told_once_and_in_the_order_of_the_saved_steps() -> None:
    followed = follow_saved(Program, hands_over(locked=True), save(hands_over(locked=False)))

    assert partings(followed) == [
        (1, "read device.ready", "does", "mutex_lock device.lock"),
        (3, "write device.ready", "waits", "mutex_lock device.lock"),
        (5, "read device.mapped", "does", "down_read device.memory_lock"),
    ]


def test_a_step_that_is_gone_is_left_out() -> None:
    def edited(lab: Program) -> None:
        device = Device()

        @lab.task
        def fault() -> None:
            device.mapped = True

        @lab.task
        def zap() -> None:
            device.ready = True
            if device.mapped:
                violate(WRONG)

    followed = after(edited)

    assert followed.finding is not None
    assert followed.schedule == "fault:1,zap:3"
    assert partings(followed) == [(1, "read device.ready", "does", "write device.mapped")]


def test_a_failure_that_is_mended_breaks_no_rule() -> None:
    followed = after(program(checks=False))

    assert followed.finding is None
    assert partings(followed) == []


def test_a_lock_that_is_new_keeps_the_order_that_it_allows() -> None:
    followed = after(program(locked=True))

    assert followed.finding is not None
    assert partings(followed) == [
        (1, "read device.ready", "does", "mutex_lock device.lock"),
        (3, "write device.ready", "waits", "mutex_lock device.lock"),
    ]


def test_a_task_that_is_gone_and_one_that_has_ended_are_told() -> None:
    def edited(lab: Program) -> None:
        lab.add_task("fault", lambda: None)

    followed = after(edited)

    assert followed.finding is None
    assert [(how, now) for _step, _text, how, now in partings(followed)] == [
        ("ended", ""), ("gone", ""),
    ]  # fmt: skip


def test_a_task_that_waits_for_ever_is_told() -> None:
    def edited(lab: Program) -> None:
        device = Device()
        device.lock.lock()

        @lab.task
        def fault() -> None:
            device.lock.lock()

    followed = after(edited)

    assert followed.finding is not None
    assert followed.finding.violation.rule == "no_deadlock"
    assert ("waits", "mutex_lock device.lock") in [p[2:] for p in partings(followed)]


def test_a_rule_that_breaks_later_than_saved_is_found() -> None:
    def late(lab: Program) -> None:
        device = Device()

        @lab.task
        def fault() -> None:
            if not device.ready:
                device.mapped = True

        @lab.task
        def zap() -> None:
            device.ready = True
            mapped = device.mapped
            device.extra = 1
            if mapped:
                violate(WRONG)

    followed = after(late)

    assert followed.finding is not None
    assert followed.partings == ()
    assert followed.schedule == "fault:2,zap:4"


def test_choices_are_made_again() -> None:
    def chooses(lab: Program) -> None:
        @lab.task
        def guest() -> None:
            if choose(["tea", "coffee"]) == "coffee":
                violate(WRONG)

    saved = save(chooses)

    assert saved.runs[0][-1].choice == 1
    followed = follow_saved(Program, chooses, saved)
    assert followed.schedule == "guest:2[1]"


@pytest.mark.parametrize("object_name", ["", "device.lock"])
def test_a_step_reads_as_verb_and_object(object_name: str) -> None:
    step = SavedStep(1, "fault", "mutex_lock", object_name, "a.py:1")

    assert str(step) == f"mutex_lock {object_name}".strip()
