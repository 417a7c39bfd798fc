"""One program under one schedule: start the tasks, make their steps, take them back.

The scenario's function runs once, as the task "setup", and leaves the first state.
Every execution begins by undoing the one before, cell by cell; so whatever a program
keeps outside of cells shows up as hidden nondeterminism.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

from pfnlab.engine import deadlock, watch
from pfnlab.engine.cell import Cell
from pfnlab.engine.errors import Abandoned, ModelError
from pfnlab.engine.label import Label
from pfnlab.engine.program import Program, Rule, Violation
from pfnlab.engine.record import Recorder, TraceStep
from pfnlab.engine.task import Hold, Operation, Task, WorkerPool

STEP_LIMIT = 5_000


@dataclass(slots=True)
class Event:
    """A visible step, with the number of plain steps that its task made after it."""

    task: int
    choice: int
    label: Label
    steps: int
    options: int = 1


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that broke in the present execution.

    event     the last visible step by then, -1 if there was none
    relevant  visible steps that a shortest trace must keep; empty for just the last one
    race      two visible steps that must stay in this order, though no label says so
    held      the locks of every task
    """

    violation: Violation
    event: int
    relevant: frozenset[int]
    race: tuple[int, int] | None
    held: dict[str, tuple[Hold, ...]]


class SetupFailed(BaseException):
    """A rule broke while the scenario was set up."""


class Execution:
    """Runs one program, any number of times."""

    def __init__(
        self,
        program: Program,
        build: Callable[[Any], None],
        *,
        recording: bool = False,
        whole_stacks: bool = True,
        step_limit: int = STEP_LIMIT,
    ) -> None:
        global _current
        _current = self
        self.program = program
        self.recorder = Recorder(program, whole_stacks) if recording else None
        self.watch = watch.Watch(program)
        self.pool = WorkerPool()
        self.step_limit = step_limit
        self.run = 0
        self.cells: list[Cell] = []
        self.objects: dict[Hashable, Any] = {}  # by (task, creation index, class, arguments)
        self.log: list[tuple[Cell, Any]] = []
        self.setup = Task("setup", -1, lambda: None)
        self.running: Task | None = self.setup
        self._clear()
        try:
            build(program)
            broken = self.watch.begin()
            if broken is not None:
                self.report(broken[0].rule, broken[0].rule.sentence, broken[1], self.setup)
        except SetupFailed:
            pass
        self.failed_setup = list(self.broken)
        self.running = None
        self.mark = len(self.log)

    def _clear(self) -> None:
        self.events: list[Event] = []
        self.steps = 0
        self.broken: list[Broken] = []
        self.notes: list[Broken] = []  # of rules that are known to break
        self.unchecked_race = ""  # a field that tasks race for while that rule is left out

    @property
    def violation(self) -> Violation | None:
        """The first rule that broke."""
        return self.broken[0].violation if self.broken else None

    def restart(self) -> None:
        """Undo everything since the setup and bring every task to its first step."""
        global _current
        _current = self
        self.end()
        self.run += 1
        while len(self.log) > self.mark:
            cell, value = self.log.pop()
            cell.value = value
        self._clear()
        if self.recorder is not None:
            self.recorder.clear()
        self.broken += self.failed_setup
        self.watch.restart()
        for monitor in self.program.monitors:
            monitor.restart()
        for cell in self.cells:
            cell.clock = None
        for task in self.program.tasks:
            task.restart(len(self.program.tasks))
        for task in self.program.tasks:
            if self.violation is None:
                self._advance(task, None)

    def end(self) -> None:
        """Let go of the tasks that have not ended."""
        for task in self.program.tasks:
            if task.worker is not None:
                self.running = task
                self.pool.abandon(task)
        self.running = None

    def enabled(self) -> list[Task]:
        return [task for task in self.program.tasks if task.ready()]

    def fire(self, task: Task, choice: int = 0) -> Event:
        """Make the step that a task has announced, and run it up to the next one."""
        operation = task.pending
        assert operation is not None
        self.running = task
        if operation.counted:
            self.count_step(task)
        label, result = operation.perform(task, choice)
        task.pending = None
        if self.recorder is not None and operation.counted:
            detail = operation.detail(result) if operation.detail is not None else ""
            site = self.recorder.site(task)
            self.recorder.add(TraceStep(self.steps, task.name, operation.verb, detail, site, label))
        broken: list[watch.Broken] = []
        if label.writes and self.program.invariants:
            # Also after a rule broke: the label must not depend on what came before it.
            label, broken = self.watch.after(label)
        event = Event(task.index, choice, label, int(operation.counted), operation.options)
        self.events.append(event)
        task.events += 1
        for rule, evidence in broken:
            if not self._known(rule.rule):
                self.report(rule.rule, rule.rule.sentence, evidence, task)
        self.check_limit(task)
        if not task.parked:
            self._advance(task, result)
        self.running = None
        return event

    def _advance(self, task: Task, result: Any) -> None:
        """Run a task's own code up to its next announcement."""
        self.running = task
        if task.worker is None:
            self.pool.start(task)
        else:
            self.pool.resume(task, result)
        self.running = None
        if task.pending is not None and not task.ready():
            cycle = deadlock.waiting_cycle(task)
            if cycle:
                self._fail(deadlock.NO_DEADLOCK, deadlock.describe(cycle), cycle)

    def _known(self, rule: Rule) -> bool:
        """Whether a rule about the state is broken already: it stays so for a while."""
        told = self.notes if rule.accepted else self.broken
        return any(broken.violation.rule == rule.name for broken in told)

    def finish(self) -> None:
        """Say why no task can go on; called when none is enabled."""
        tasks = self.program.tasks
        waiting = [task for task in tasks if task.pending is not None and not task.parked]
        if not waiting or self.violation is not None:
            return
        spinning = [task for task in waiting if deadlock.tries_again(task)]
        if spinning:
            task = spinning[0]
            seen = ", ".join(task.watching.names())
            evidence = (f"{task.name} will try again for ever; it looks at {seen}.",)
            self._fail(deadlock.NO_LIVELOCK, evidence, spinning)
        else:
            self._fail(deadlock.NO_DEADLOCK, deadlock.describe(waiting), waiting)

    def _fail(self, rule: Rule, evidence: tuple[str, ...], tasks: list[Task]) -> None:
        if not self.program.enforces(rule):
            return
        involved = {task.index for task in tasks}
        relevant = frozenset(
            index for index, event in enumerate(self.events) if event.task in involved
        )
        self.report(rule, rule.sentence, evidence, tasks[0], relevant)
        for task in tasks:
            task.parked = True  # with its operation still pending: races with it count

    # ---- called on behalf of the running task

    def count_step(self, task: Task) -> None:
        self.steps += 1
        task.steps += 1

    def check_limit(self, task: Task) -> None:
        if task.steps > self.step_limit:  # enforced or not: there is no other way out
            evidence = (f"{task.name} has made more than {self.step_limit} steps.",)
            self.report(deadlock.ENDS, deadlock.ENDS.sentence, evidence, task)

    def write(self, cell: Cell, value: Any) -> None:
        """Replace a cell's value so that it can be undone."""
        self.log.append((cell, cell.value))
        cell.value = value

    def report(
        self,
        rule: Rule,
        sentence: str,
        evidence: tuple[str, ...],
        task: Task,
        relevant: frozenset[int] = frozenset(),
        race: tuple[int, int] | None = None,
    ) -> None:
        """A rule broke in a task's step: keep it, and leave the task where it is.

        If the rule may break the task goes on.
        """
        broken = Broken(
            Violation(rule.name, sentence, evidence, task.name, self.steps),
            len(self.events) - 1,
            relevant,
            race,
            {t.name: tuple(t.held) for t in self.program.tasks},
        )
        if rule.accepted:
            self.notes.append(broken)
            return
        task.parked = True
        if not self.broken and self.recorder is not None:
            self.recorder.stopped = self.recorder.announced.get(task.index)
        self.broken.append(broken)


_current: Execution | None = None


def current_execution() -> Execution:
    """The execution at work, also while a rule looks at its state."""
    if _current is None:
        raise ModelError("shared state is used outside of a scenario and its tasks")
    return _current


def running() -> tuple[Execution, Task]:
    """The execution, and the task whose code is running now."""
    if _current is None or _current.running is None:
        raise ModelError("shared state is used outside of a scenario and its tasks")
    if _current.running.parked:
        raise Abandoned
    return _current, _current.running


def setting_up() -> bool:
    """Whether the scenario is being set up: no task runs yet."""
    execution, task = running()
    return task is execution.setup


def observing() -> watch.Watch | None:
    """The watch of the present execution while it evaluates a rule."""
    if _current is not None and _current.watch.reading is not None:
        return _current.watch
    return None


__all__ = ["STEP_LIMIT", "Event", "Execution", "Operation", "SetupFailed", "current_execution",
           "observing", "running", "setting_up"]  # fmt: skip
