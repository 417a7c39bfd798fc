"""The search with one of its rules taken out, for tests that show what each is for."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from pfnlab.engine.event import Event
from pfnlab.engine.label import (
    CONFLICTS,
    NOTHING,
    RELEASES,
    TRYLOCK_FAILED,
    UNLOCK,
    Label,
)
from pfnlab.engine.operation import CHOOSE
from pfnlab.explorer import optimal, swap, wakeup
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.races import Other
from pfnlab.explorer.trie import Step
from pfnlab.explorer.wakeup import COVERED, WEAKLY, Branch

Mutant = Callable[[], AbstractContextManager[None]]


@contextmanager
def patched(owner: Any, name: str, value: Any) -> Iterator[None]:
    kept = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        setattr(owner, name, kept)


@contextmanager
def conflicts(one: int, other: int, whether: bool) -> Iterator[None]:
    kept = CONFLICTS[one][other]
    CONFLICTS[one][other] = CONFLICTS[other][one] = whether
    try:
        yield
    finally:
        CONFLICTS[one][other] = CONFLICTS[other][one] = kept


def without_blocked() -> AbstractContextManager[None]:
    """Operations that are blocked at the end race with nothing."""
    return patched(optimal, "add_blocked", lambda _machine, _pending: None)


@contextmanager
def immediate_only() -> Iterator[None]:
    """A wait races with the newest conflicting steps alone."""
    every = Machine.conflicts

    def newest(machine: Machine, label: Label, before: int, *, wait: bool) -> list[int]:
        if not wait:
            return every(machine, label, before, wait=False)
        found: list[int] = []
        past = 0
        for position in every(machine, label, before, wait=True):
            if not past >> position & 1:
                found.append(position)
            if machine.events[position].label.mode not in RELEASES:
                past |= machine.events[position].past
        return found

    def wait(machine: Machine, event: Event) -> int:
        label, past = event.label, event.before
        for position in newest(machine, label, event.before, wait=True):
            earlier = machine.events[position]
            if not machine.releases(earlier.label, label):
                machine.races.append((position, event.position))
            past |= earlier.past
        machine.touched += [None] * (label.object + 1 - len(machine.touched))
        event.under, machine.touched[label.object] = machine.touched[label.object], event
        return past

    with patched(Machine, "conflicts", newest), patched(Machine, "wait", wait):
        yield


@contextmanager
def without_drop() -> Iterator[None]:
    """Where the other order would block, nobody is left out of it."""
    with (
        patched(Other, "_without_holders", lambda _other: []),
        patched(Other, "_without_some", lambda _other: []),
    ):
        yield


def choices_everywhere() -> AbstractContextManager[None]:
    """The other options of a choice are tried wherever it comes, also on a planned way."""

    reverse = Optimal._reverse_races

    def with_others(search: Optimal) -> None:
        for frame, event in zip(search.frames, search.machine.events, strict=False):
            other = 1 - event.choice
            steps = [*[branch.step for branch in frame.tree], *frame.sleep]
            known = any(step.task == event.task and step.choice == other for step in steps)
            if event.node.code == CHOOSE and not known:
                frame.tree.append(Branch((Step(event.task, other, NOTHING),)))
        reverse(search)

    return patched(Optimal, "_reverse_races", with_others)


@contextmanager
def weak_sleep() -> Iterator[None]:
    """A sequence counts as tried if a step that sleeps is independent of all of it."""
    asleep, tried = wakeup.asleep, swap.tried

    def covered(how: int) -> int:
        return COVERED if how == WEAKLY else how

    with (
        patched(optimal, "asleep", lambda *asked: covered(asleep(*asked))),
        patched(optimal, "tried", lambda *asked: covered(tried(*asked))),
    ):
        yield


def trylock_ignores_unlocks() -> AbstractContextManager[None]:
    """A trylock that fails races with no release, as if it were a lock that waits."""
    return conflicts(TRYLOCK_FAILED, UNLOCK, False)


def failed_trylocks_conflict() -> AbstractContextManager[None]:
    return conflicts(TRYLOCK_FAILED, TRYLOCK_FAILED, True)


@contextmanager
def always_settled() -> Iterator[None]:
    """A race that was looked at once is done with, whatever comes after it later."""
    with (
        patched(Optimal, "_settles", lambda *_: True),
        patched(optimal, "chooses", lambda *_: False),
    ):
        yield


@contextmanager
def never_settled() -> Iterator[None]:
    """Every race is looked at again in every execution."""
    with (
        patched(Optimal, "_settles", lambda *_: False),
        patched(optimal, "chooses", lambda *_: True),
    ):
        yield


@contextmanager
def beside_the_current() -> Iterator[None]:
    """A sequence is planned although the step that is being explored begins it."""
    insert = wakeup.insert
    with patched(optimal, "insert", lambda tree, sequence, _current: insert(tree, sequence)):
        yield


def blind_rules() -> AbstractContextManager[None]:
    """What a rule looks at is no part of the step."""
    return patched(Label, "reading", lambda label, _numbers: label)
