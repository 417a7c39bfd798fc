"""How many executions a search will have run in the end.

Knuth's estimate of the size of a tree (1975), with what a depth-first search knows besides:
the branches of a state that are left are as large, on average, as those of the same state that
are done; the one in which the search is now is estimated in the same way.  On a tree whose
branches are alike it is exact from the first execution on.

A reduced search finds out late how many branches a state has, and the first branches are often
not like the last.  So there is an interval: no less than what is known to be left, and the more
above the estimate the more of it is extrapolated (measured: see tests/explorer/test_estimate.py).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

DOUBT = 3.0
MOST = 1e18  # executions: nobody waits for more


class State(Protocol):
    """A state on the way to the present execution, as a search keeps it."""

    @property
    def done(self) -> int:
        """Branches that have been searched to their ends."""

    @property
    def left(self) -> int:
        """Branches that have not, the present one included."""


class Estimate(NamedTuple):
    """Executions in all: the most likely number, and bounds."""

    total: int
    least: int
    most: int


@dataclass
class Sizes:
    """How many executions had ended when each state of the present one was reached."""

    states: list[State] = field(default_factory=list)
    since: list[int] = field(default_factory=list)
    runs: int = 0

    def note(self, states: Sequence[State]) -> None:
        """An execution has ended, along these states."""
        known = self.states
        kept, end = 0, min(len(known), len(states))
        while kept < end:  # those on both ways are the first ones
            middle = (kept + end) // 2
            if known[middle] is states[middle]:
                kept = middle + 1
            else:
                end = middle
        self.since[kept:] = [self.runs] * (len(states) - kept)
        self.states[kept:] = states[kept:]
        self.runs += 1

    def estimate(self) -> Estimate:
        size = 1.0  # of the branch below a state that has been entered
        inside = 1  # executions there so far
        least = self.runs
        for state, since in zip(reversed(self.states), reversed(self.since), strict=True):
            if not state.left:
                continue
            here = self.runs - since
            known = here - inside + size
            size = min(known * (1 + (state.left - 1) / (state.done + 1)), MOST)
            inside = here
            least += state.left - 1
        size = max(size, least)
        doubt = 1 - self.runs / size
        return Estimate(round(size), least, round(size * (1 + DOUBT * doubt)))


@dataclass(frozen=True)
class Progress:
    """How far a search has come."""

    schedules: int
    seconds: float
    estimate: Estimate | None
    failing: int

    @property
    def rate(self) -> float:
        """Executions a second."""
        return self.schedules / self.seconds if self.seconds > 0 else 0.0

    @property
    def left(self) -> float | None:
        """Seconds, if the estimate is right."""
        if self.estimate is None or not self.rate:
            return None
        return max(self.estimate.total - self.schedules, 0) / self.rate
