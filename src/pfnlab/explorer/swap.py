"""The other order of a race whose second step is the same step there: nearly every race.

The other order keeps everything before the first event, then what comes after neither of the
two, then the second.  Where nothing of that changes how the second ends, the events at hand
are that sequence, and most of what must be asked of it can be read off what happens before
what, without making it.
"""

from pfnlab.engine.event import Event
from pfnlab.engine.label import LOCK as MUTEX
from pfnlab.engine.label import TRYLOCK, Label, dependent
from pfnlab.engine.operation import CHOOSE, LOCK
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.trie import Node, Step
from pfnlab.explorer.wakeup import COVERED, GROWN, WEAKLY


def between(events: list[Event], first: int, second: int) -> list[int]:
    """What comes after neither of two events, of all from the first one on."""
    after = 1 << first
    if second >= 0:
        after |= 1 << second
    return [
        position for position in range(first + 1, len(events)) if not events[position].past & after
    ]


def is_same(machine: Machine, first: int, second: int) -> bool:
    """Whether nothing that comes before the second event now changes how it ends.

    A mutex that the first event has taken was free before, and whoever else takes it comes
    after that event; so it is free in the other order, too.
    """
    event = machine.events[second]
    node: Node = event.node
    if node.fixed:
        return not (machine.rules and event.label.writes)
    return node.code == LOCK and took(machine.events[first].label, node.op.number)


def took(label: Label, number: int) -> bool:
    """Whether a step has taken a mutex."""
    for its, mode in label.accesses:
        if its == number:
            return mode == MUTEX or mode == TRYLOCK
    return False


def swapped(events: list[Event], first: int, second: int) -> list[Event]:
    """The sequence of events."""
    after = 1 << first | 1 << second
    sequence = [event for event in events[first + 1 :] if not event.past & after]
    sequence.append(events[second])
    return sequence


def tried(machine: Machine, steps: list[Step], first: int, second: int) -> int:
    """Whether one of these steps begins the sequence that swapped() makes: as asleep()."""
    weak = False
    events, actors = machine.events, machine.actors
    after, low, last = 1 << first | 1 << second, first + 1, events[second]
    for step in steps:
        label, event = step.label, None
        at = last if step.task == last.task else actors[step.task].newest
        while at is not None and at.position > first:
            event, at = at, at.earlier
        if event is not None:  # the first one of its task there
            position = event.position
            if position == second or not event.past & after:
                if event.choice != step.choice:
                    continue
                if event.label is label and not (label.waits and position == second):
                    # It comes first if there is nothing else from `first` on that it comes after.
                    # (A wait that is the second comes after more, which is left out here.)
                    if event.past >> low == 1 << (position - low):
                        return COVERED
                elif not machine.meets(
                    label, first, second, position if position != second else len(events)
                ):
                    return COVERED
                continue
        if not weak:
            weak = not (
                dependent(label, last.label) or machine.meets(label, first, second, len(events))
            )
    return WEAKLY if weak else GROWN


def chooses(machine: Machine, first: int, second: int) -> bool:
    """Whether there is a choice after the second event in what comes after neither.

    To be asked only if there are choices at all: machine.chooses.
    """
    events, after = machine.events, 1 << first | 1 << second
    for position in range(second + 1, len(events)):
        node: Node = events[position].node
        if node.code == CHOOSE and not events[position].past & after:
            return True
    return False


__all__ = ["between", "chooses", "is_same", "swapped", "took", "tried"]
