"""Every interleaving, one after the other, without any reduction: the oracle.

Slow on purpose, and short enough to be seen to be right.  With a bound on preemptions
it is incomplete: a preemption is a switch away from a task that could have gone on.
"""

from dataclasses import dataclass, field

from pfnlab.engine.execution import Execution
from pfnlab.explorer.policy import Choice
from pfnlab.explorer.result import many


@dataclass
class _Frame:
    left: list[Choice]  # not yet tried, the present one first
    resumable: int | None  # the task that ran last, if it can go on
    preemptions: int  # made on the way here


@dataclass
class Exhaustive:
    """Depth-first search over all schedules."""

    preemptions: int | None = None
    name: str = "exhaustive"
    seed: int | None = None
    stack: list[_Frame] = field(default_factory=list)
    depth: int = 0
    started: bool = False
    pruned: bool = False

    @property
    def complete(self) -> bool:
        return not self.pruned

    @property
    def bound(self) -> str:
        if self.preemptions is None or not self.pruned:
            return ""
        return f"at most {many(self.preemptions, 'preemption')}"

    def begin(self) -> bool:
        self.depth = 0
        if not self.started:
            self.started = True
            return True
        while self.stack:
            frame = self.stack[-1]
            frame.left.pop(0)
            if frame.left:
                return True
            self.stack.pop()
        return False

    def choose(self, execution: Execution, enabled: list[Choice]) -> Choice | None:
        if execution.violation is not None:
            return None
        if self.depth == len(self.stack):
            self.stack.append(self._open(execution, enabled))
        frame = self.stack[self.depth]
        self.depth += 1
        return frame.left[0]

    def _open(self, execution: Execution, enabled: list[Choice]) -> _Frame:
        """The steps to try from here; those of the task that ran last come first."""
        if not self.stack:
            return _Frame(list(enabled), None, 0)
        above = self.stack[-1]
        last = above.left[0].task
        switched_away = above.resumable is not None and above.resumable != last
        spent = above.preemptions + switched_away
        stay = [choice for choice in enabled if choice.task == last]
        leave = [choice for choice in enabled if choice.task != last]
        if self.preemptions is not None and stay and leave and spent >= self.preemptions:
            self.pruned = True
            leave = []
        return _Frame(stay + leave, last if stay else None, spent)

    def end(self, execution: Execution, finished: bool) -> None:
        pass
