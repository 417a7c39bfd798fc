"""The other order of a race: which steps come along, and which of them can be first.

Given an execution, an event of it and a later step that races with it, the other order
keeps everything before the event, then what does not depend on it, then the step.
"""

from dataclasses import dataclass

from pfnlab.engine.label import (
    DOWNGRADE,
    EXCLUSIVE,
    LEAVES,
    LOCK,
    SHARED,
    WRITE_LOCK,
    WRITE_QUEUED,
    Label,
)
from pfnlab.explorer.order import Order


@dataclass(frozen=True, slots=True)
class Racing:
    """The second step of a race, made (with a position) or still waiting."""

    task: int
    label: Label
    position: int | None
    before: list[int]  # clock of the task before the step


def not_after(order: Order, earlier: int, racing: Racing) -> list[int]:
    """Events from `earlier` on that could happen without it, and without the racing step."""
    return [
        index
        for index in range(earlier + 1, len(order.events))
        if index != racing.position
        and not order.happens_before(earlier, index)
        and (racing.position is None or not order.happens_before(racing.position, index))
    ]


def initials(order: Order, events: list[int]) -> set[int]:
    """The tasks that could make the first step of a sequence."""
    return {
        order.events[index].task
        for place, index in enumerate(events)
        if not any(order.happens_before(before, index) for before in events[:place])
    }


def apart(order: Order, events: list[int], racing: Racing) -> bool:
    """Whether a lock step has nothing to do with any of the events, however it ends."""
    return all(
        order.events[index].task != racing.task
        and order.events[index].label.target != racing.label.target
        for index in events
    )


def without_those_in_the_way(
    order: Order, earlier: int, between: list[int], racing: Racing
) -> list[int] | None:
    """Leave out who would hold the lock at that time, and what depends on them.

    None if the lock was taken before `earlier`: then that is the race to reverse.
    """
    target = racing.label.target
    writing = racing.label.kind in (LOCK, WRITE_LOCK)
    while True:
        takers: dict[int, int] = {}  # task: where it took the lock or began to wait for it
        for index in [*range(earlier), *between]:
            event = order.events[index]
            if event.label.target != target:
                continue
            if (
                event.label.kind in EXCLUSIVE
                or (writing and event.label.kind in SHARED)
                or (event.label.kind == WRITE_QUEUED and not writing)
            ):
                takers[event.task] = index
            elif event.label.kind in LEAVES or (event.label.kind == DOWNGRADE and not writing):
                takers.pop(event.task, None)
        takers.pop(racing.task, None)
        blocking = [index for index in takers.values() if index > earlier]
        if not takers:
            return between
        if not blocking:
            return None
        last = max(blocking)
        if racing.before[order.events[last].task] >= last:
            return None
        between = [index for index in between if not order.happens_before(last, index)]
