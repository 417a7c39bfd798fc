"""The present execution of a search: steps are made, and taken back, without running code.

Tasks follow their tries (trie.py); the shared state is undone cell by cell (engine/store.py).
Each event gets its place in the order as it is made, and the earlier events that it races with
(dependence.py): dependent ones of other tasks that nothing in between orders.
"""

from itertools import pairwise
from typing import Any, Final, final

from pfnlab.engine import deadlock
from pfnlab.engine import operation as op_
from pfnlab.engine.event import Event
from pfnlab.engine.execution import Execution
from pfnlab.engine.fire import fire, plain, ready
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Heard
from pfnlab.engine.sights import Done, Sights
from pfnlab.engine.store import Store
from pfnlab.explorer.dependence import Actor, Dependence
from pfnlab.explorer.trie import STOPPED, Node, Trie

NO_DEPTH: Final = 1 << 60


@final
class Machine(Dependence):
    """One execution over tries."""

    def __init__(self, execution: Execution, depth: int | None = None) -> None:
        program = execution.program
        self.tasks = len(program.tasks)
        # interchangeable tasks: who must have made its first step before this one
        self.after = [-1] * self.tasks
        for group in program.alike:
            for first, second in pairwise(group):
                self.after[second] = first
        super().__init__(execution.events, [Actor(before < 0) for before in self.after])
        self.execution = execution
        # A task that has made so many steps makes no more.  That is a property of its history,
        # so nothing is lost among those executions in which no task makes more.
        self.step_limit = execution.step_limit
        self.plain_limit = execution.plain_limit
        self.depth = depth if depth is not None else NO_DEPTH
        self.cut = False  # some task could have gone on
        self.store: Store = execution.store
        self.watch = execution.watch
        self.rules = bool(program.invariants)
        self.tries = [Trie(execution, task) for task in program.tasks]
        self.chained = bool(program.alike)
        self.chooses = False  # some task has made a choice, in this execution or another
        self.stop = False  # a race that may be was met: the search must begin anew
        self.taken_back = 0  # events, by undo()
        self._begin()

    def _begin(self) -> None:
        execution = self.execution
        execution.rewind()
        self.events = execution.events
        self.told: list[list[Any]] = [execution.broken, execution.notes, execution.heard]
        for task, trie in enumerate(self.tries):
            node = self.actors[task].node = trie.root()
            if node.code == op_.END and self.store.started[task]:
                self.store.ended[task] = True

    # ---- what can happen

    def enabled(self, task: int) -> bool:
        actor = self.actors[task]
        node = actor.node
        if node.code >= op_.PLAIN or not self.store.started[task] or self.store.parked[task]:
            return False
        if not actor.born or actor.steps >= self.depth:
            return False
        return not node.waits or ready(self.store, node.op, task)

    def blocked(self, task: int) -> bool:
        """Whether a task has an operation that cannot happen."""
        node = self.actors[task].node
        return (
            node.waits
            and self.store.started[task]
            and not self.store.parked[task]
            and not ready(self.store, node.op, task)
        )

    # ---- a step

    def make(self, task: int, choice: int) -> Event:
        """Make the step that a task has announced, and go on to the next one."""
        store, actor = self.store, self.actors[task]
        node = actor.node
        op = node.op
        position = len(self.events)
        store.event = position
        store.marks.append(len(store.log))
        result = fire(store, op, task, choice)
        if self.rules and store.label.writes:
            return self._made_watched(task, choice, actor, result)
        event = Event(task, choice, store.label, node.steps)
        self.enter(event, actor, position)
        if self.chained and event.steps:
            self._bear(event)
        if node.special:
            self._special(event, op)
            if store.parked[task]:
                self._advance(event, actor, result)
                return event
        # As _advance(), for the case that is nearly always there.
        child = node.then if result is node.newest else None
        if child is None:
            child = self._next(task, node, result)
        if child.code < op_.RETRY and actor.steps <= self.step_limit:
            actor.node = child
        else:
            self._go_on(actor, child, event)
        return event

    def _made_watched(self, task: int, choice: int, actor: Actor, result: Any) -> Event:
        """A step after which rules are looked at."""
        store, node = self.store, actor.node
        op = node.op
        verdicts = self.watch.now
        self.watch.now = list(verdicts)
        try:
            broken = self.watch.after(store.label)
        except Exception:
            self.events.append(Event(task, choice, store.label, node.steps))  # to tell of it
            raise
        event = Event(task, choice, store.label, node.steps)
        event.verdicts = verdicts
        self.enter(event, actor, len(self.events))
        if self.chained and event.steps:
            self._bear(event)
        if node.special:
            self._special(event, op)
        for rule, evidence in broken:
            if not self.execution.known(rule.rule):
                self._report(rule.rule, evidence, task)
        self._advance(event, actor, result)
        return event

    def _advance(self, event: Event, actor: Actor, result: Any) -> None:
        if self.store.parked[event.task]:
            actor.node = STOPPED
        else:
            self._go_on(actor, self._next(event.task, actor.node, result), event)

    def _next(self, task: int, node: Node, result: Any) -> Node:
        child = node.after(result)
        return child if child is not None else self.tries[task].child(node, result)

    def _go_on(self, actor: Actor, node: Node, event: Event) -> None:
        """Make the plain operations of a task, up to a visible one."""
        store, task, plains = self.store, event.task, 0
        while node.plain:
            op = node.op
            plains += 1
            if plains > self.plain_limit or actor.steps > self.step_limit:
                break
            if op.code == op_.MONITOR:
                self._monitor(task, op, event)
                result = None
            else:
                if node.traced:
                    self._one_more(event)
                result = plain(store, op, task)
                if store.race is not None:
                    self._race(task, op)
                    if store.parked[task] and not node.traced:
                        self._one_more(event)
            if store.parked[task]:
                break
            node = self._next(task, node, result)
        actor.node = node
        code = node.code
        if plains > self.plain_limit or actor.steps > self.step_limit:
            self._report(deadlock.ENDS, (), task)
        elif code == op_.END:
            store.end(task)
            if self.chained:
                self._bear(event)  # if it has made no step that is counted
        elif code == op_.VIOLATE:
            self._one_more(event)
            _sentence, evidence, _call, relevant = node.op.value
            self._report(node.op.rule, evidence, task, relevant)
        elif code == op_.RETRY:
            sights = Sights(store, self._trail(task, node), task)
            store.try_again(task, sights.changed, sights.label())

    def _one_more(self, event: Event) -> None:
        """A plain step that belongs to an event."""
        event.steps += 1
        self.actors[event.task].steps += 1

    def _special(self, event: Event, op: Operation) -> None:
        """What few operations do besides."""
        store = self.store
        if op.code == op_.REPLACE:
            if store.race is not None:
                self._race(event.task, op)
        elif op.code == op_.SPAWN:
            child = self.actors[op.number]
            child.birth = event.past
            if child.node.code == op_.END:
                store.end(op.number)
        elif op.code == op_.CHOOSE:
            event.options = op.options
            self.chooses = True
        elif op.code == op_.RETRY:
            event.retry = (store.waiting[event.task], store.retrying[event.task])

    def _bear(self, event: Event) -> None:
        """Whoever waits for the first step of this task may begin."""
        for other, before in enumerate(self.after):
            actor = self.actors[other]
            if before == event.task and not actor.born:
                actor.born = True
                actor.birth = event.past
                event.bore = (*event.bore, other)

    def _trail(self, task: int, node: Node) -> list[Done]:
        """What the task has done since it began to try."""
        trail: list[Done] = []
        event = self.actors[task].newest
        at: Node = node
        while at.length > node.op.value and at.parent is not None:
            parent = at.parent
            trail.append(Done(parent.op, at.result, event.position if event is not None else -1))
            if event is not None and not parent.plain:
                event = event.earlier
            at = parent
        trail.reverse()
        return trail

    # ---- rules

    def _race(self, task: int, op: Operation) -> None:
        earlier = self.store.race
        assert earlier is not None
        if not self.execution.program.enforces(op.rule):
            self.execution.unchecked_race = op.target.field
            self.stop = True
            return
        pair = (earlier.event, len(self.events) - 1)
        self._report(op.rule, (), task, frozenset(pair), pair)

    def _monitor(self, task: int, op: Operation, event: Event) -> None:
        execution = self.execution
        heard = execution.heard
        name = execution.program.tasks[task].name
        heard.append(Heard(op.value, name, len(self.events) - 1))
        found = op.target.heard(heard, execution)
        if found is not None and execution.program.enforces(found.rule):
            self._one_more(event)
            self._report(found.rule, found.evidence, task, found.relevant)

    def _report(
        self,
        rule: Any,
        evidence: tuple[str, ...],
        task: int,
        relevant: frozenset[int] = frozenset(),
        race: tuple[int, int] | None = None,
    ) -> None:
        execution = self.execution
        execution.report(
            rule, rule.sentence, evidence, execution.program.tasks[task], relevant, race
        )

    # ---- back

    def steps(self) -> int:
        """Of all tasks, as numbered in a schedule."""
        return sum([actor.steps for actor in self.actors])

    def undo(self, depth: int) -> None:
        """Take back every event from this position on."""
        events, actors, touched = self.events, self.actors, self.touched
        rules, chained = self.rules, self.chained
        self.taken_back += len(events) - depth
        undone = events[depth:]
        undone.reverse()
        for event in undone:
            actor = actors[event.task]
            actor.node, actor.newest = event.node, event.earlier
            actor.steps = actor.steps - event.steps
            label = event.label
            if label.size == 1:
                touched[label.object] = event.under
            else:
                self.untouch(event)
            if rules and event.verdicts is not None:
                self.watch.now = event.verdicts
            if chained:
                for other in event.bore:
                    actors[other].born = False
        del events[depth:]
        self.store.undo(depth)
        for told in self.told:
            while told and told[-1].event >= depth:
                told.pop()
        self.drop_races(depth)
