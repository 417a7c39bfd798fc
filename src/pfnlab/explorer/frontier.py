"""Who has which part of a search: bookkeeping for any number of workers.

Nothing is explored here.  Parts are taken, slices of them given back, and each wish goes to the
part that owns the frame that it is about.  Between two slices all of it is plain data, so this
is also what a checkpoint holds; a slice that is not back yet counts as not begun.

A search that becomes Source-DPOR cannot be split: then it goes back to where it was when its
first part was given away, and goes on in one piece.
"""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from pfnlab.explorer.slices import Slice, Work
from pfnlab.explorer.state import BEGINNING, State, Wish, path_to, state_from, wish_from
from pfnlab.explorer.totals import Totals


@dataclass
class Part:
    """A part of the search that is not finished.

    parent   that it was given away by; -1 for the first one
    wishes   not yet heard; `told` are those that the present slice hears
    parts    that were given away from here and are not finished
    """

    parent: int
    state: State
    waiting: bool = False
    wishes: list[Wish] = field(default_factory=list)
    told: list[Wish] = field(default_factory=list)
    parts: set[int] = field(default_factory=set)
    running: bool = False


class Frontier:
    """All parts of one search."""

    def __init__(self, state: State = BEGINNING, totals: Totals | None = None) -> None:
        self.parts: dict[int, Part] = {0: Part(-1, state)}
        self.made = 1
        self.ready: deque[int] = deque([0])
        self.totals = totals or Totals()
        self.whole = state.fell_back  # it must not be split
        self.before: tuple[State, Totals] | None = None  # it was split

    @property
    def over(self) -> bool:
        return not self.parts

    @property
    def running(self) -> int:
        return sum(part.running for part in self.parts.values())

    def take(self) -> tuple[int, Work] | None:
        """The next part to explore, if one is ready, and its number."""
        if not self.ready:
            return None
        number = self.ready.popleft()
        part = self.parts[number]
        part.running = True
        part.told, part.wishes = part.wishes, []
        return number, Work(part.state, tuple(part.told))

    def lost(self, number: int) -> None:
        """The slice will not come back: it is as if it had not been taken."""
        if number not in self.parts:
            return
        part = self.parts[number]
        part.running = False
        part.wishes = [*part.told, *part.wishes]
        part.told = []
        self.ready.appendleft(number)

    def give_back(self, number: int, done: Slice) -> None:
        if number not in self.parts:
            return  # of before it began anew
        part = self.parts[number]
        if done.fell_back and self.before is not None:
            self._unsplit(*self.before)
            return
        self.whole = self.whole or done.fell_back
        if done.parts and self.before is None:
            self.before = part.state, Totals.of(self.totals.data())
        self.totals.add(done.totals)
        part.running, part.told = False, []
        for state in done.parts:
            self.parts[self.made] = Part(number, state)
            part.parts.add(self.made)
            self.ready.append(self.made)
            self.made += 1
        for wish in done.wishes:
            self._wish(part, wish)
        if done.state is None:
            self._finish(number, part)
            return
        part.state, part.waiting = done.state, done.waiting
        self._look(number)

    def _unsplit(self, state: State, totals: Totals) -> None:
        self.parts = {self.made: Part(-1, state)}
        self.ready = deque([self.made])
        self.made += 1
        self.totals, self.whole, self.before = totals, True, None

    def _wish(self, part: Part, wish: Wish) -> None:
        number = part.parent
        while self.parts[number].state.base > len(wish.path):
            number = self.parts[number].parent
        owner = self.parts[number]
        if wish not in owner.wishes:
            owner.wishes.append(wish)
        self._look(number)

    def _look(self, number: int) -> None:
        """Whether a part has something to do."""
        part = self.parts[number]
        if part.running or number in self.ready:
            return
        if not part.waiting or part.wishes:
            self.ready.append(number)

    def _finish(self, number: int, part: Part) -> None:
        """A part has come to its end, and has nobody to wait for."""
        assert not part.parts
        if part.wishes:  # came while its last slice ran; but then somebody was there to wish
            raise AssertionError("a part has ended before those that it gave away")
        del self.parts[number]
        if part.parent >= 0:
            parent = self.parts[part.parent]
            parent.parts.discard(number)
            *path, step = path_to(part.state, part.state.base)
            parent.wishes.append(Wish(tuple(path), (step,), True))
            self._look(part.parent)

    # ---- as JSON

    def data(self) -> dict[str, Any]:
        before = self.before
        return {
            "parts": [
                [number, part.parent, part.state, part.waiting, [*part.told, *part.wishes]]
                for number, part in self.parts.items()
            ],
            "totals": self.totals.data(),
            "whole": self.whole,
            "before": [before[0], before[1].data()] if before is not None else None,
        }

    @staticmethod
    def of(data: Any) -> "Frontier":
        frontier = Frontier(totals=Totals.of(data["totals"]))
        frontier.parts = {}
        frontier.ready.clear()
        for number, parent, state, waiting, wishes in data["parts"]:
            frontier.parts[number] = Part(
                parent, state_from(state), waiting, [wish_from(wish) for wish in wishes]
            )
            frontier.made = max(frontier.made, number + 1)
        for number, part in frontier.parts.items():
            if part.parent >= 0:
                frontier.parts[part.parent].parts.add(number)
        for number in frontier.parts:
            frontier._look(number)
        frontier.whole = data["whole"]
        if data["before"] is not None:
            state, totals = data["before"]
            frontier.before = state_from(state), Totals.of(totals)
        return frontier
