"""Happens-before over the events of one execution, for whoever needs it.

Two events are ordered when one task made both, or when their labels are dependent, and
by every chain of those.
"""

from pfnlab.engine.event import Event
from pfnlab.engine.label import dependent


class Order:
    """Of each event, those that happen before it, and itself: positions, as bits."""

    def __init__(self, events: list[Event], pasts: list[int]) -> None:
        self.events = events
        self.pasts = pasts

    def past(self, keep: set[int]) -> list[int]:
        """The events that happen before some, and these."""
        bits = 0
        for index in keep:
            if index >= 0:
                bits |= self.pasts[index]
        return [index for index in range(len(self.events)) if bits >> index & 1]

    def put_before(self, first: int, last: int) -> None:
        """Order an event after another one that its label does not depend on."""
        self.pasts[last] |= self.pasts[first]


def order_of(events: list[Event]) -> Order:
    """Computed from the labels."""
    pasts: list[int] = []
    for index, event in enumerate(events):
        past = 1 << index
        for earlier in range(index):
            other = events[earlier]
            if other.task == event.task or dependent(other.label, event.label):
                past |= pasts[earlier]
        pasts.append(past)
    return Order(events, pasts)


def order_as_made(events: list[Event]) -> Order:
    """Of events that know it already."""
    return Order(events, [event.past for event in events])
