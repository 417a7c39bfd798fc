"""Every interleaving with at most so many preemptions, over tries.

A preemption is a switch away from a task that could have gone on.  Most bugs need one or two.
There is no reduction: which of two equivalent executions has fewer preemptions is not known
before both have run, so leaving one out could leave out a bug within the bound.  What makes it
fast is that no prefix runs twice.  Whatever the bound has cut off makes the search incomplete.
"""

from dataclasses import dataclass

from pfnlab.engine.execution import Execution
from pfnlab.explorer.ends import finish, left
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.policy import Choice
from pfnlab.explorer.walk import options_of


@dataclass
class Switches:
    """The state before one step.

    steps        not yet tried, the present one first
    resumable    the task that ran last, if it can go on
    preemptions  made on the way here
    size         steps that there were to try
    since        executions that had ended when it was reached
    """

    steps: list[Choice]
    resumable: int | None
    preemptions: int
    size: int
    since: int

    @property
    def left(self) -> int:
        return len(self.steps)

    @property
    def done(self) -> int:
        return self.size - len(self.steps)


class Bounded:
    """Depth-first search; `next` runs one execution to its end, or to a rule that breaks."""

    def __init__(self, execution: Execution, preemptions: int, depth: int | None = None) -> None:
        self.machine = Machine(execution, depth)
        self.preemptions = preemptions
        self.frames: list[Switches] = []
        self.pruned = False  # a switch was left out
        self.runs = 0  # executions that have ended
        self.started = self.over = False
        self.in_vain = self.fell_back = False  # never: see Optimal

    def next(self) -> bool:
        """Run another execution; False if there is none left."""
        if self.over or (self.started and not self._backtrack()):
            self.over = True
            return False
        self.started = True
        self._extend()
        self.runs += 1
        return True

    @property
    def more(self) -> bool:
        """Whether there is another execution."""
        return any(len(frame.steps) > 1 for frame in self.frames)

    def _backtrack(self) -> bool:
        frames = self.frames
        while frames:
            del frames[-1].steps[0]
            if frames[-1].steps:
                self.machine.undo(len(frames) - 1)
                self._make(frames[-1])
                return True
            frames.pop()
        return False

    def _extend(self) -> None:
        machine, execution = self.machine, self.machine.execution
        while not execution.broken and not execution.unchecked_race:
            enabled = options_of(machine)
            if not enabled:
                finish(machine, left(machine))
                return
            self.frames.append(self._open(enabled))
            self._make(self.frames[-1])

    def _make(self, frame: Switches) -> None:
        self.machine.make(frame.steps[0].task, frame.steps[0].option)

    def _open(self, enabled: list[Choice]) -> Switches:
        """The steps to try from here; those of the task that ran last come first."""
        if not self.frames:
            return Switches(enabled, None, 0, len(enabled), self.runs)
        above = self.frames[-1]
        last = above.steps[0].task
        switched_away = above.resumable is not None and above.resumable != last
        spent = above.preemptions + switched_away
        stay = [choice for choice in enabled if choice.task == last]
        leave = [choice for choice in enabled if choice.task != last]
        if stay and leave and spent >= self.preemptions:
            self.pruned = True
            leave = []
        steps = stay + leave
        return Switches(steps, last if stay else None, spent, len(steps), self.runs)
