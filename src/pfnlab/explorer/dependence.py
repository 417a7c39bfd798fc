"""The order of the events of an execution, and the races among them, as they are made.

Two events of different tasks are dependent if they touch one object in modes that conflict.
What happens before an event is a set of positions, kept as the bits of an integer.
"""

from typing import Final

from pfnlab.engine.event import Event
from pfnlab.engine.label import CONFLICT, MODES, RELEASES, WRITE, Label

_RELEASE: Final = [mode in RELEASES for mode in range(MODES)]


class Dependence:
    """Which events touched which object, and which pairs of them race."""

    def __init__(self, events: list[Event], tasks: int) -> None:
        self.events = events
        self.tasks = tasks
        self.own: list[list[int]] = [[] for _ in range(tasks)]  # positions of each task's events
        self.birth = [0] * tasks  # the past of a task's first step
        self.touched: list[list[int]] = []  # of each object: the events that touched it,
        self.modes: list[list[int]] = []  # and how
        # races, with what they are about
        self.race_first: list[int] = []
        self.race_second: list[int] = []  # an event, or -1 - task for one that is blocked
        self.race_done: list[bool] = []

    def race_one(self, number: int, mode: int, past: int, position: int) -> int:
        """The races of a step that touches one object, newest first; returns its past.

        Of accesses to memory only those back to the last write: it comes after the others.
        """
        if number >= len(self.touched):
            return past
        touched, modes, events = self.touched[number], self.modes[number], self.events
        row = mode * MODES
        place = len(touched) - 1
        while place >= 0:
            its = modes[place]
            if CONFLICT[row + its]:
                earlier = touched[place]
                if not past >> earlier & 1:
                    self.add_race(earlier, position)
                    past |= events[earlier].past
                if its == WRITE:
                    break
            place -= 1
        return past

    def conflicts(self, label: Label, before: int, *, wait: bool) -> list[int]:
        """Earlier events that a label depends on, newest first.

        Those that come `before` in any case are left out, the task's own among them.  Of accesses
        to memory only those back to the last write: it comes after the others.  But for a wait
        all, as it may end before any of them.
        """
        found: list[int] = []
        for number, mode in label.accesses:
            if number >= len(self.touched):
                continue
            touched, modes = self.touched[number], self.modes[number]
            row = mode * MODES
            place = len(touched) - 1
            while place >= 0:
                position, its = touched[place], modes[place]
                if CONFLICT[row + its]:
                    if not before >> position & 1:
                        found.append(position)
                    if its == WRITE and not wait:
                        break
                place -= 1
        return sorted(set(found), reverse=True) if label.size > 1 else found

    def releases(self, earlier: Label, label: Label) -> bool:
        """Whether an event is the release that a wait was for."""
        return earlier.object == label.object and _RELEASE[earlier.mode]

    def add_race(self, first: int, second: int) -> None:
        self.race_first.append(first)
        self.race_second.append(second)
        self.race_done.append(False)

    def first_after(self, task: int, position: int) -> int:
        """A task's first event after this position; -1 if it has none."""
        own = self.own[task]
        place = len(own)
        while place > 0 and own[place - 1] > position:
            place -= 1
        return own[place] if place < len(own) else -1

    def meets(self, label: Label, first: int, second: int, end: int) -> bool:
        """Whether a step depends on an event before `end` that comes after neither of the two."""
        after = 1 << first | 1 << second
        events = self.events
        for number, mode in label.accesses:
            if number >= len(self.touched):
                continue
            touched, modes = self.touched[number], self.modes[number]
            row = mode * MODES
            place = len(touched) - 1
            while place >= 0:
                position = touched[place]
                if position <= first:
                    break
                if (
                    position < end
                    and CONFLICT[row + modes[place]]
                    and not events[position].past & after
                ):
                    return True
                place -= 1
        return False

    def past_of(self, task: int) -> int:
        """What happens before the next event of a task, whatever that is."""
        own = self.own[task]
        return self.events[own[-1]].past if own else self.birth[task]

    def drop_races(self, depth: int) -> None:
        """Forget the races of events from this position on, and those of blocked operations."""
        place = len(self.race_second)
        while place > 0 and not 0 <= self.race_second[place - 1] < depth:
            place -= 1
        del self.race_first[place:]
        del self.race_second[place:]
        del self.race_done[place:]
