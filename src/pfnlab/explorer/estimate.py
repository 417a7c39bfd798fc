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
from dataclasses import dataclass
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

    @property
    def since(self) -> int:
        """Executions that had ended when the search reached it."""


class Estimate(NamedTuple):
    """Executions in all: the most likely number, and bounds."""

    total: int
    least: int
    most: int


def estimate(states: Sequence[State], runs: int) -> Estimate:
    """After so many executions, of which the last one went through these states."""
    size = 1.0  # of the branch below a state that has been entered
    inside = 1  # executions there so far
    least = runs
    for state in reversed(states):
        if not state.left:
            continue
        here = runs - state.since
        known = here - inside + size
        size = min(known * (1 + (state.left - 1) / (state.done + 1)), MOST)
        inside = here
        least += state.left - 1
    size = max(size, least)
    doubt = 1 - runs / size
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
