"""Happens-before over the events of one execution, for whoever needs it.

Two events are ordered when one task made both, or when their labels are dependent, and
by every chain of those.
"""

from pfnlab.engine.event import Event
from pfnlab.engine.label import Label, dependent


class Order:
    """Vector clocks of events: clock[i][t] is the last event of task t at or before event i."""

    def __init__(self, tasks: int) -> None:
        self.tasks = tasks
        self.events: list[Event] = []
        self.clocks: list[list[int]] = []
        self.before: list[list[int]] = []  # of the task, before the event took place
        self.last: list[list[int]] = [[-1] * tasks for _ in range(tasks)]

    def add(self, event: Event) -> list[int]:
        """Append an event; return the earlier ones of other tasks that it depends on, newest first.

        Only those are returned; chains through them are in the clock.
        """
        before = self.last[event.task]
        found = self.conflicts(event.task, event.label)
        clock = list(before)
        for earlier in found:
            for task, position in enumerate(self.clocks[earlier]):
                if position > clock[task]:
                    clock[task] = position
        clock[event.task] = len(self.events)
        self.events.append(event)
        self.before.append(before)
        self.clocks.append(clock)
        self.last[event.task] = clock
        return found

    def conflicts(self, task: int, label: Label) -> list[int]:
        """Earlier events of other tasks that depend on a label, newest first."""
        events = self.events
        return [
            index
            for index in range(len(events) - 1, -1, -1)
            if events[index].task != task and dependent(events[index].label, label)
        ]

    def past(self, keep: set[int]) -> list[int]:
        """The events that happen before some, and these."""
        latest = [-1] * self.tasks
        for index in keep:
            if index >= 0:
                for task, position in enumerate(self.clocks[index]):
                    if position > latest[task]:
                        latest[task] = position
        return [
            index for index, event in enumerate(self.events) if index <= latest[event.task]
        ]

    def put_before(self, first: int, last: int) -> None:
        """Order an event after another one that its label does not depend on."""
        pairs = zip(self.clocks[first], self.clocks[last], strict=True)
        self.clocks[last] = [max(pair) for pair in pairs]

    def happens_before(self, first: int, second: int) -> bool:
        return self.clocks[second][self.events[first].task] >= first


def order_of(events: list[Event], tasks: int) -> Order:
    order = Order(tasks)
    for event in events:
        order.add(event)
    return order


def order_as_made(events: list[Event], tasks: int) -> Order:
    """Of events that have their clocks already."""
    order = Order(tasks)
    order.events = events
    order.clocks = [event.clock for event in events]
    return order
