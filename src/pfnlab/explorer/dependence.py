"""The order of the events of an execution, and the races among them, as they are made.

Two events of different tasks are dependent if they touch one object in modes that conflict.
What happens before an event is a set of positions, kept as the bits of an integer.
"""

from typing import Final, final

from pfnlab.engine.event import Event, Touch
from pfnlab.engine.label import ADD, CONFLICTS, MODES, RELEASES, WRITE, Label
from pfnlab.engine.operation import JOIN
from pfnlab.explorer.trie import STOPPED, Node

_RELEASE: Final = [mode in RELEASES for mode in range(MODES)]
# What comes after such an access comes after all that were before it: no other need be asked.
_LAST: Final = [mode == WRITE or all(CONFLICTS[mode][ADD + 1 :]) for mode in range(MODES)]


# An event, and a later one that depends on it with nothing between them: by positions, or -1 - task
# of an operation that is blocked at the end.
Race = tuple[int, int]


@final
class Actor:
    """A task in the present execution.

    node    where it is
    newest  its newest event
    birth   the past of its first step
    steps   how many it has made, as numbered in a schedule
    born    it may begin: whoever must begin before it has done so
    """

    def __init__(self, born: bool) -> None:
        self.node: Node = STOPPED
        self.newest: Event | None = None
        self.birth = 0
        self.steps = 0
        self.born = born


class Dependence:
    """Which events touched which object, and which pairs of them race."""

    def __init__(self, events: list[Event], actors: list[Actor]) -> None:
        self.events = events
        self.actors = actors
        self.touched: list[Touch | None] = []  # the newest access to each object
        # Those of which it is not settled yet that the other order is tried, in the order in
        # which their second events were made.
        self.races: list[Race] = []

    def enter(self, event: Event, actor: Actor, position: int) -> None:
        """An event is made now: what happens before it, and its races with earlier ones."""
        label, events, touched, earlier = event.label, self.events, self.touched, actor.newest
        past = earlier.past if earlier is not None else actor.birth
        event.node, event.position, event.earlier, event.before = (
            actor.node, position, earlier, past,
        )  # fmt: skip
        if label.simple:
            number, conflicts = label.object, label.conflicts
            while number >= len(touched):
                touched.append(None)
            touch = event.under = touched[number]
            while touch is not None:
                if conflicts[touch.mode]:
                    if not past >> touch.position & 1:
                        self.races.append((touch.position, position))
                        past |= events[touch.position].past
                    if _LAST[touch.mode]:
                        break
                touch = touch.under
            touched[number] = event
        else:
            past = self._enter_other(event)
        event.past = past | 1 << position
        events.append(event)
        actor.newest = event
        actor.steps = actor.steps + event.steps

    def _enter_other(self, event: Event) -> int:
        """Of a wait, or an event that touches none or several objects; returns its past."""
        label, events, past, node = event.label, self.events, event.before, event.node
        if label.size == 1:
            return self.wait(event)
        if node.code == JOIN:
            event.before = past | self.past_of(node.op.number)
            return event.before
        for place in self.conflicts(label, event.before, wait=label.waits):
            theirs = events[place]
            if label.waits:
                if not (label.blocking and self.releases(theirs.label, label)):
                    self.races.append((place, event.position))
                past |= theirs.past
            elif not past >> place & 1:
                self.races.append((place, event.position))
                past |= theirs.past
        self._touch_all(event)
        return past

    def wait(self, event: Event) -> int:
        """As enter(): a wait may end before any of the others, but not without a release."""
        touched, label, before = self.touched, event.label, event.before
        number, conflicts, past = label.object, label.conflicts, before
        while number >= len(touched):
            touched.append(None)
        touch = event.under = touched[number]
        while touch is not None:
            earlier = touch.position
            if conflicts[touch.mode] and not before >> earlier & 1:
                if not (label.blocking and _RELEASE[touch.mode]):
                    self.races.append((earlier, event.position))
                past |= self.events[earlier].past
            touch = touch.under
        touched[number] = event
        return past

    def _touch_all(self, event: Event) -> None:
        """An event touches several objects."""
        touched = self.touched
        for number, mode in event.label.accesses:
            while number >= len(touched):
                touched.append(None)
            touched[number] = Touch(event.position, mode, touched[number])

    def untouch(self, event: Event) -> None:
        """Take back the accesses of the newest event."""
        touched = self.touched
        for number, _mode in event.label.accesses:
            touch = touched[number]
            touched[number] = touch.under if touch is not None else None

    def conflicts(self, label: Label, before: int, *, wait: bool) -> list[int]:
        """Earlier events that a label depends on, newest first.

        Those that come `before` in any case are left out, the task's own among them, and those
        that another one comes after; but for a wait none of these: it may end before any of them.
        """
        found: list[int] = []
        for number, mode in label.accesses:
            if number >= len(self.touched):
                continue
            touch = self.touched[number]
            row = CONFLICTS[mode]
            while touch is not None:
                if row[touch.mode]:
                    if not before >> touch.position & 1:
                        found.append(touch.position)
                    if _LAST[touch.mode] and not wait:
                        break
                touch = touch.under
        return sorted(set(found), reverse=True) if label.size > 1 else found

    def releases(self, earlier: Label, label: Label) -> bool:
        """Whether an event is the release that a wait was for."""
        return earlier.object == label.object and _RELEASE[earlier.mode]

    def meets(self, label: Label, first: int, second: int, end: int) -> bool:
        """Whether a step depends on an event before `end` that comes after neither of the two."""
        after = 1 << first | 1 << second
        events, touched = self.events, self.touched
        for number, mode in label.accesses:
            touch = touched[number] if number < len(touched) else None
            row = CONFLICTS[mode]
            while touch is not None:
                at = touch.position
                if at <= first:
                    break
                if at < end and row[touch.mode] and not events[at].past & after:
                    return True
                touch = touch.under
        return False

    def past_of(self, task: int) -> int:
        """What happens before the next event of a task, whatever that is."""
        actor = self.actors[task]
        return actor.newest.past if actor.newest is not None else actor.birth

    def drop_races(self, depth: int) -> None:
        """Forget the races of events from this position on, and those of blocked operations."""
        races = self.races
        while races and not 0 <= races[-1][1] < depth:
            races.pop()
