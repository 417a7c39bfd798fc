"""What has broken in an execution: rules, and tasks that wait for ever."""

from dataclasses import dataclass, field

from pfnlab.engine import deadlock
from pfnlab.engine import operation as op_
from pfnlab.engine.cell import Cell
from pfnlab.engine.event import Event
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Heard, Program, Rule, Violation
from pfnlab.engine.record import Recorder
from pfnlab.engine.sights import Done
from pfnlab.engine.store import Store
from pfnlab.engine.task import Hold, Task


@dataclass(frozen=True, slots=True)
class Broken:
    """A rule that broke in the present execution.

    event     the last visible step by then, -1 if there was none
    relevant  visible steps that a shortest trace must keep; empty for just the last one
    race      the two of them that race, though no label says so
    held      the locks of every task
    waiting   no step broke it: tasks wait for ever
    cycle     they wait for each other since the last of the relevant steps, whatever others
              have done since
    """

    violation: Violation
    event: int
    relevant: frozenset[int] = frozenset()
    race: tuple[int, int] | None = None
    held: dict[str, tuple[Hold, ...]] = field(default_factory=dict)
    waiting: bool = False
    cycle: bool = False


class Outcome:
    """Collects it.  Whoever makes the steps keeps `events`, `steps`, `pending` and `trails`."""

    def __init__(self, program: Program, recorder: Recorder | None) -> None:
        self.program = program
        self.recorder = recorder
        self.store = Store()
        self.cells: list[Cell] = []
        self.setup = Task("setup", -1, lambda: None)
        self.clear()

    def clear(self) -> None:
        """Another execution begins."""
        self.events: list[Event] = []
        self.steps = 0
        self.broken: list[Broken] = []
        self.notes: list[Broken] = []  # of rules that are known to break
        self.heard: list[Heard] = []  # what monitors have been told
        self.unchecked_race = ""  # a field that tasks race for while that rule is left out
        self.trails: list[list[Done]] = [[] for _ in self.program.tasks]  # what each has done
        self.pending: list[Operation | None] = [None] * len(self.program.tasks)

    @property
    def violation(self) -> Violation | None:
        """The first rule that broke."""
        return self.broken[0].violation if self.broken else None

    def known(self, rule: Rule) -> bool:
        """Whether a rule about the state is broken already: it stays so for a while."""
        told = self.notes if rule.accepted else self.broken
        return any(broken.violation.rule == rule.name for broken in told)

    def report(
        self,
        rule: Rule,
        sentence: str,
        evidence: tuple[str, ...],
        task: Task,
        relevant: frozenset[int] = frozenset(),
        race: tuple[int, int] | None = None,
        *,
        waiting: bool = False,
        cycle: bool = False,
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
            waiting,
            cycle,
        )
        if rule.accepted:
            self.notes.append(broken)
            return
        if task is not self.setup:
            self.store.park(task.index)
        if not self.broken and self.recorder is not None:
            self.recorder.stopped = self.recorder.announced.get(task.index)
        self.broken.append(broken)

    # ---- waiting for ever

    def deadlocked(self, index: int) -> None:
        """A task waits: report it if those who make it wait do so for ever."""
        cycle = deadlock.waiting_cycle(self.store, self.pending, index)
        if cycle:
            self._fail(deadlock.NO_DEADLOCK, self._describe(cycle, cycle=True), cycle, cycle=True)

    def finish(self) -> None:
        """Say why no task can go on; called when none is enabled."""
        waiting = [
            index
            for index, op in enumerate(self.pending)
            if op is not None and not self.store.parked[index]
        ]
        if not waiting or self.violation is not None:
            return
        spinning = [index for index in waiting if self._op(index).code == op_.RETRY]
        others = [index for index in waiting if index not in spinning]
        evidence = self._describe(others, cycle=False) if others else ()
        if spinning and self.program.enforces(deadlock.NO_LIVELOCK):
            first = spinning[0]
            looks = [self.cells[cell] for cell, _mode in self.store.retry_label(first).accesses]
            seen = ", ".join(cell.name for cell in looks if cell.traced)
            trail = self.trails[first][self._op(first).value :]
            loop = deadlock.describe_loop(self.program.tasks, first, trail, seen)
            self._fail(deadlock.NO_LIVELOCK, (loop, *evidence), [*spinning, *others])
        elif others:
            self._fail(deadlock.NO_DEADLOCK, evidence, others)

    def _op(self, index: int) -> Operation:
        op = self.pending[index]
        assert op is not None
        return op

    def _fail(
        self, rule: Rule, evidence: tuple[str, ...], tasks: list[int], *, cycle: bool = False
    ) -> None:
        if not self.program.enforces(rule):
            return
        relevant = frozenset(i for i, event in enumerate(self.events) if event.task in tasks)
        task = self.program.tasks[tasks[0]]
        self.report(rule, rule.sentence, evidence, task, relevant, waiting=True, cycle=cycle)
        for index in tasks:
            self.store.park(index)  # with its operation still pending: races with it count

    def _describe(self, waiting: list[int], *, cycle: bool) -> tuple[str, ...]:
        recorder, tasks = self.recorder, self.program.tasks
        sites = recorder.site if recorder is not None else lambda _task: ""
        return deadlock.describe(self.store, self.pending, tasks, waiting, sites, cycle)
