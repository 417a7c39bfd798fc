"""One program under one schedule: start the tasks, make their steps, take them back.

Every execution begins by undoing the one before, cell by cell, back to the state that the setup
has left; so whatever a program keeps outside of cells shows up as hidden nondeterminism.
"""

from collections.abc import Callable, Hashable
from typing import Any

from pfnlab.engine import deadlock, watch
from pfnlab.engine import operation as op_
from pfnlab.engine.current import CURRENT, run
from pfnlab.engine.event import Event
from pfnlab.engine.fire import fire, plain, ready
from pfnlab.engine.operation import Operation
from pfnlab.engine.outcome import Broken, Outcome
from pfnlab.engine.program import Heard, Program
from pfnlab.engine.race import evidence_of
from pfnlab.engine.raised import rule_failed
from pfnlab.engine.record import Recorder, TraceStep
from pfnlab.engine.setup import PLAIN_OPERATIONS, STEP_LIMIT, immediately, set_up
from pfnlab.engine.sights import Done, Sights
from pfnlab.engine.task import Task, WorkerPool

START = Operation(op_.START, "start", counted=False)


class Execution(Outcome):
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
        super().__init__(program, Recorder(program, whole_stacks) if recording else None)
        self.watch = watch.Watch(program, self.store)
        self.pool = WorkerPool()
        self.step_limit = step_limit
        self.plain_limit = PLAIN_OPERATIONS * step_limit
        self.made_in_setup = 0
        # By (task, creation index, class, arguments): each object, and that key.
        self.objects: dict[Hashable, tuple[Any, Any]] = {}
        self.begun: set[int] = set()  # tasks whose code has, or that others start
        set_up(self, build)
        self.failed_setup = list(self.broken)
        self.stopped_in_setup = self.recorder.stopped if self.recorder is not None else None
        self.heard_in_setup = list(self.heard)

    def restart(self, *, late: bool = False) -> None:
        """Undo everything since the setup and bring every task to its first step.

        If it is `late`, they are left before their code: begin() and begin_all() run it.
        """
        self.rewind()
        for task in self.program.tasks:
            task.restart()
        self.begun = {task.index for task in self.program.tasks if task.lazy}
        if not late:
            self.begin_all()

    def begin_all(self) -> None:
        """Bring those tasks to their first step whose code has not begun."""
        for task in self.program.tasks:
            self.begin(task)

    def begin(self, task: Task) -> None:
        """Bring a task to its first step, unless its code has begun or another one starts it."""
        if task.index not in self.begun and not self.failed_setup:
            self.begun.add(task.index)
            self._begin(task)

    def rewind(self) -> None:
        """Undo everything since the setup."""
        self.take_over()
        self.end()
        self.store.undo(0)
        self.clear()
        if self.recorder is not None:
            self.recorder.clear()
            self.recorder.stopped = self.stopped_in_setup
        self.broken += self.failed_setup
        self.heard += self.heard_in_setup
        self.watch.restart()

    def take_over(self) -> None:
        """Be the execution at work, if there are several in this process."""
        CURRENT.enter(self, None)

    def end(self) -> None:
        """Let go of the tasks that have not ended."""
        before = CURRENT.execution, CURRENT.task, CURRENT.recorder
        CURRENT.enter(self, None)
        for task in self.program.tasks:
            if task.worker is not None:
                CURRENT.task = task
                self.pool.abandon(task)
        CURRENT.execution, CURRENT.task, CURRENT.recorder = before

    def ready(self, task: Task) -> bool:
        op = self.pending[task.index]
        return (
            op is not None
            and not self.store.parked[task.index]
            and ready(self.store, op, task.index)
        )

    def enabled(self) -> list[Task]:
        return [task for task in self.program.tasks if self.ready(task)]

    # ---- steps

    def fire(self, task: Task, choice: int = 0) -> Event:
        """Make the step that a task has announced, and run it up to the next one."""
        CURRENT.task = task
        try:
            return self._fire(task, choice)
        finally:
            CURRENT.task = None

    def _fire(self, task: Task, choice: int) -> Event:
        op = self.pending[task.index]
        assert op is not None
        self.store.begin_event()
        if op.counted:
            self._count_step(task)
        self.store.step = self.steps
        result = fire(self.store, op, task.index, choice)
        self.pending[task.index] = None
        if self.recorder is not None and op.counted:
            detail = op.told(result)
            site = self.recorder.site(task)
            step = TraceStep(self.steps, task.name, op.verb, detail, site, self.store.label)
            self.recorder.add(step)
        event = Event(task.index, choice, self.store.label, int(op.counted))
        event.options = op.options
        self.events.append(event)
        broken: list[watch.Broken] = []
        if self.store.label.writes and self.program.invariants:
            # Also after a rule broke: the label must not depend on what came before it.
            broken = self._look(task)
            event.label = self.store.label
        if op.code == op_.REPLACE and self.store.race is not None:
            self._race(task, op)
        for rule, evidence in broken:
            if not self.known(rule.rule):
                self.report(rule.rule, rule.rule.sentence, evidence, task)
        self._check_limit(task)
        if op.code == op_.SPAWN and result is None:
            self._begin(self.program.tasks[op.number])
        if not self.store.parked[task.index]:
            if op is START:
                assert task.pending is not None
                self._go_on(task, task.pending)
            else:
                self._made(task, op, result)
                self._go_on(task, run(self.pool, task, result))
        return event

    def _begin(self, task: Task) -> None:
        op = run(self.pool, task, None)
        first = op.plain or op.code == op_.VIOLATE
        if first:
            self.pending[task.index] = START
        else:
            self._arrive(task, op)

    def _go_on(self, task: Task, op: Operation) -> None:
        """Make the plain operations that a task announces, up to a visible one."""
        plains = 0
        while op.plain:
            plains += 1
            self._check_limit(task, plains)
            if self.store.parked[task.index]:
                return
            result = self._plain(task, op)
            if self.store.parked[task.index]:
                return
            self._made(task, op, result)
            op = run(self.pool, task, result)
        if op.code == op_.VIOLATE:
            self._violates(task, op)
        else:
            self._arrive(task, op)

    def _arrive(self, task: Task, op: Operation) -> None:
        index = task.index
        if op.code == op_.END:
            self.store.end(index)
            return
        if op.code == op_.RETRY:
            sights = Sights(self.store, self.trails[index][op.value :], index)
            self.store.try_again(index, sights.changed, sights.label())
        self.pending[index] = op
        if op.waits and not self.ready(task):
            self.deadlocked(index)

    def _made(self, task: Task, op: Operation, result: Any) -> None:
        self.trails[task.index].append(Done(op, result, len(self.events) - 1, self.steps))

    def _plain(self, task: Task, op: Operation) -> Any:
        if op.code == op_.MONITOR:
            self._monitor(task, op)
            return None
        traced = op.target is not None and op.target.traced
        if traced:
            self._plain_step(task)
        self.store.step = self.steps
        result = plain(self.store, op, task.index)
        if self.store.race is not None:
            self._race(task, op)
        self._check_limit(task)
        parked = self.store.parked[task.index]
        if parked and not traced:
            self._plain_step(task)
        if self.recorder is not None and op.target is not None and op.code != op_.PEEK:
            text = op.detail(result) if op.detail is not None else op.target.name
            number = self.steps if traced or parked else 0
            self.recorder.add(
                TraceStep(number, task.name, op.verb, text, self.recorder.site(task),
                          word=op.number, writes=op.code == op_.PLAIN_WRITE)
            )  # fmt: skip
        return result

    # ---- rules

    def _look(self, task: Task) -> list[watch.Broken]:
        """Which rules a step has broken."""
        try:
            return self.watch.after(self.store.label)
        except Exception as error:
            if self.recorder is None or not self.recorder.whole:
                raise
            self.report(*rule_failed(error), task)
            return []

    def _race(self, task: Task, op: Operation) -> None:
        earlier, cell = self.store.race, op.target
        assert earlier is not None
        if not self.program.enforces(op.rule):
            self.unchecked_race = cell.field
            return
        other = self.program.tasks[earlier.task].name
        number = self.steps + (not cell.traced)  # a race makes a step of any access
        write = op.code != op_.PLAIN_READ
        evidence = evidence_of(cell, task.name, number, write, other, earlier)
        pair = (earlier.event, len(self.events) - 1)
        self.report(op.rule, op.rule.sentence, evidence, task, frozenset(pair), pair)

    def _monitor(self, task: Task, op: Operation) -> None:
        self.heard.append(Heard(op.value, task.name, len(self.events) - 1))
        found = op.target.heard(self.heard, self)
        if found is not None and self.program.enforces(found.rule):
            self._plain_step(task)
            self._record_call(task, found.call)
            self.report(found.rule, found.rule.sentence, found.evidence, task, found.relevant)

    def _violates(self, task: Task, op: Operation) -> None:
        sentence, evidence, call, relevant = op.value
        self._plain_step(task)
        self._record_call(task, call)
        self.report(op.rule, sentence, evidence, task, relevant)

    def _record_call(self, task: Task, call: str | None) -> None:
        """The last line of a trace: what the task was about to do."""
        if self.recorder is not None:
            frames = self.recorder.announced[task.index].frames
            doing = call or (f"{frames[-1].function}()" if frames else "")
            site = self.recorder.site(task)
            self.recorder.add(TraceStep(self.steps, task.name, "call", doing, site))

    # ---- counting

    def _plain_step(self, task: Task) -> None:
        """Count a step that needs no scheduling; it belongs to the event before it."""
        self._count_step(task)
        if self.events:
            self.events[-1].steps += 1

    def _count_step(self, task: Task) -> None:
        self.steps += 1
        task.steps += 1

    def _check_limit(self, task: Task, plains: int = 0) -> None:
        """Enforced or not: there is no other way out."""
        over = task.steps > self.step_limit
        if over or plains > self.plain_limit:
            limit = self.step_limit if over else self.plain_limit
            what = "steps" if over else "plain accesses in a row"
            evidence = (deadlock.describe_endless(task, limit, what, self.trails[task.index]),)
            self.report(deadlock.ENDS, deadlock.ENDS.sentence, evidence, task)

    def immediately(self, op: Operation) -> Any:
        """What the scenario's own function does happens at once."""
        return immediately(self, op)


__all__ = ["STEP_LIMIT", "Broken", "Event", "Execution"]
