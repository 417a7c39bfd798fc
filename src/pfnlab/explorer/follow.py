"""Follow a saved counterexample, as far as it fits a program that has been edited since.

Each task is led along its own saved steps, in the order in which they were saved.  A step fits
if the task is about to do the same to the same object.  If it is about to do what was not saved
at all, that step is new and is made.  If it is about to do what was saved for later, either the
steps in between are gone or this one is new: both are tried, and what breaks the rule again, or
else fits more steps, is taken.  Where the two part is said.  After the last saved step the
execution is run to its end: a failure may have moved a few steps on.
"""

from dataclasses import dataclass

from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Program
from pfnlab.engine.schedule import join_racing, schedule_of, split_racing
from pfnlab.engine.task import Task
from pfnlab.explorer.policy import options
from pfnlab.explorer.replay import Build, MakeProgram, replay
from pfnlab.explorer.result import Finding
from pfnlab.explorer.saved import Saved, SavedStep, object_of

MOST_TRIED = 64  # ways to take doubtful steps


@dataclass(frozen=True)
class Parting:
    """Where an execution parted from the saved one.

    now   what the task is about to do instead; "" if it does nothing any more
    how   "does", "waits", "ended" or "gone": there is no such task
    site  the source line of `now`
    """

    saved: SavedStep
    how: str
    now: str = ""
    site: str = ""


@dataclass(frozen=True)
class Followed:
    """What came of it: the schedule that was run, where it parted, and what broke."""

    schedule: str
    partings: tuple[Parting, ...]
    finding: Finding | None


def follow_saved(
    make_program: MakeProgram, build: Build, saved: Saved, step_limit: int = STEP_LIMIT
) -> Followed:
    """Follow each execution of a saved counterexample."""
    racing, _schedule = split_racing(saved.schedule)
    program = make_program()
    program.racing = racing
    execution = Execution(program, build, recording=True, step_limit=step_limit)
    schedules: list[str] = []
    partings: list[Parting] = []
    try:
        for steps in saved.runs:
            led = _best(execution, steps, saved.rule, to_end=len(saved.runs) == 1)
            partings += sorted(led.partings, key=lambda parting: parting.saved.step)
            schedules.append(led.schedule)
    finally:
        execution.end()
    schedule = join_racing(racing, ";".join(schedules))
    finding = replay(make_program, build, schedule, step_limit)
    return Followed(finding.schedule if finding is not None else schedule, tuple(partings), finding)


def _best(execution: Execution, steps: tuple[SavedStep, ...], rule: str, to_end: bool) -> "_Led":
    """Decide each doubtful step one way and the other, as far as there are not too many."""
    best: _Led | None = None
    waiting: list[list[bool]] = [[]]
    for place in range(MOST_TRIED):
        if place == len(waiting):
            break
        led = _Led(execution, steps, waiting[place])
        led.follow()
        if to_end:
            led.go_on()
        led.schedule = schedule_of(execution)
        led.breaks = execution.violation is not None and execution.violation.rule == rule
        for doubt in range(len(waiting[place]), led.doubts):
            waiting.append([*waiting[place], *[False] * (doubt - len(waiting[place])), True])
        if best is None or led.score() > best.score():
            best = led
    assert best is not None
    return best


class _Led:
    """One execution that is led along saved steps.

    new     whether each doubtful step is taken for a new one; where this ends, it is not
    doubts  doubtful steps so far
    """

    def __init__(self, execution: Execution, steps: tuple[SavedStep, ...], new: list[bool]) -> None:
        execution.restart()
        self.execution = execution
        self.new = new
        self.doubts = 0
        self.fitted = 0
        self.schedule = ""
        self.breaks = False
        self.left = list(steps)
        self.last = ""  # the task that was led last
        self.tasks = {task.name: task for task in execution.program.tasks}
        self.partings: list[Parting] = []

    def score(self) -> tuple[bool, int, int]:
        return self.breaks, self.fitted, -len(self.partings)

    def follow(self) -> None:
        while self.left and not self.execution.broken and self._lead_one():
            pass
        if self.left and not self.execution.broken:
            self._part(self.left[0], "waits")

    def go_on(self) -> None:
        """Run to the end: the task that went last first, the others as they were declared."""
        execution = self.execution
        while not execution.broken:
            enabled = options(execution)
            if not enabled:
                execution.finish()
                return
            names = [execution.program.tasks[choice.task].name for choice in enabled]
            place = names.index(self.last) if self.last in names else 0
            self._fire(execution.program.tasks[enabled[place].task], 0)

    def _lead_one(self) -> bool:
        """Deal with the first saved step whose task need not wait; False if all wait."""
        waiting: set[str] = set()
        for place, saved in enumerate(self.left):
            if saved.task in waiting:
                continue
            if self._lead(saved, self.left[place + 1 :]):
                del self.left[place]
                return True
            waiting.add(saved.task)
        return False

    def _lead(self, saved: SavedStep, later: list[SavedStep]) -> bool:
        """Bring a task to and over a step; False if it has to wait."""
        task = self.tasks.get(saved.task)
        if task is None:
            self._part(saved, "gone")
            return True
        parted = False
        while not self.execution.broken:
            op = self.execution.pending[task.index]
            if op is None:
                if not parted:
                    self._part(saved, "ended")
                return True
            fits = _fits(self.execution.program, op, saved)
            if not fits and not parted:
                self._part(saved, "does")
                parted = True
            own = [step for step in later if step.task == saved.task]
            if not fits and any(_fits(self.execution.program, op, step) for step in own):
                self.doubts += 1
                if self.doubts > len(self.new) or not self.new[self.doubts - 1]:
                    return True  # the saved step is gone
            if not self.execution.ready(task):
                return False
            self._fire(task, min(saved.choice, op.options - 1) if fits else 0)
            if fits:
                self.fitted += 1
                return True
        return True

    def _fire(self, task: Task, choice: int) -> None:
        self.execution.fire(task, choice)
        self.last = task.name

    def _part(self, saved: SavedStep, how: str) -> None:
        """Each place is told once, and a task that waits there as one that waits."""
        task = self.tasks.get(saved.task)
        now = site = ""
        if task is not None and self.execution.recorder is not None:
            op = self.execution.pending[task.index]
            if op is not None:
                now = f"{op.verb} {object_of(self.execution.program, op)}".rstrip()
                site = self.execution.recorder.site(task)
        own = [parting for parting in self.partings if parting.saved.task == saved.task]
        if own and own[-1].saved == saved:
            if how == "does":  # it had to wait for others in between
                return
            if own[-1].now == now:
                self.partings.remove(own[-1])
        elif own and (own[-1].now, own[-1].how) == (now, how):
            return
        self.partings.append(Parting(saved, how, now, site))


def _fits(program: Program, op: Operation, saved: SavedStep) -> bool:
    return op.verb == saved.verb and object_of(program, op) == saved.object
