"""Every interleaving up to independence: dynamic partial order reduction with sleep sets.

After each execution look for races: two dependent steps of different tasks that nothing
else orders.  The other order must be tried too, from the state before the first of them;
a source set says which task has to begin (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014).
Sleep sets keep a step that was tried from a state from being tried again before something
dependent on it has happened.

Complete: every final state, deadlock and broken rule of the unreduced search is found,
because rules are part of the label of the steps after which they were evaluated.  Not
optimal: some executions are begun and then given up as equivalent to an earlier one.
"""

from dataclasses import dataclass, field

from pfnlab.engine.errors import Nondeterminism
from pfnlab.engine.execution import Event, Execution
from pfnlab.engine.label import AWAIT, RELEASES, Label, dependent
from pfnlab.explorer.order import Order
from pfnlab.explorer.policy import Choice
from pfnlab.explorer.reversal import (
    Racing,
    apart,
    initials,
    not_after,
    without_those_in_the_way,
)


@dataclass(slots=True)
class _Frame:
    """The state before one step of the present execution."""

    enabled: list[Choice]
    sleep: dict[Choice, Label]  # tried, here or above, and nothing dependent since
    wanted: set[int]  # tasks that must be tried from here
    chosen: Choice
    label: Label | None = None  # of the chosen step, once it was made


@dataclass
class Dpor:
    """Depth-first search that reverses races."""

    name: str = "dpor"
    seed: int | None = None
    bound: str = ""
    complete: bool = True
    stack: list[_Frame] = field(default_factory=list)
    order: Order | None = None
    depth: int = 0
    started: bool = False

    def begin(self) -> bool:
        self.depth = 0
        if not self.started:
            self.started = True
            return True
        while self.stack:
            frame = self.stack[-1]
            assert frame.label is not None
            frame.sleep[frame.chosen] = frame.label
            for choice in frame.enabled:
                if choice.task in frame.wanted and choice not in frame.sleep:
                    frame.chosen, frame.label = choice, None
                    return True
            self.stack.pop()
        return False

    def choose(self, execution: Execution, enabled: list[Choice]) -> Choice | None:
        self._note_newest(execution)
        if self.depth == len(self.stack):
            sleep = self._inherited_sleep()
            awake = [choice for choice in enabled if choice not in sleep]
            if not awake:
                return None
            chosen = self._prefer_same_task(awake)
            self.stack.append(_Frame(enabled, sleep, {chosen.task}, chosen))
        frame = self.stack[self.depth]
        if frame.enabled != enabled:
            raise Nondeterminism(
                f"hidden nondeterminism: after {self.depth} steps other tasks can run than the "
                "first time; all shared state must be in fields"
            )
        self.depth += 1
        return frame.chosen

    def _note_newest(self, execution: Execution) -> None:
        """Remember the label of the step that was just made; it must be the same each time."""
        if self.depth == 0:
            return
        frame, event = self.stack[self.depth - 1], execution.events[self.depth - 1]
        if frame.label is None:
            frame.label = event.label
        elif frame.label != event.label:
            task = execution.program.tasks[event.task].name
            raise Nondeterminism(
                f"hidden nondeterminism: step {self.depth} of the same schedule, by {task}, did "
                "something else this time; all shared state must be in fields"
            )

    def _inherited_sleep(self) -> dict[Choice, Label]:
        if not self.stack:
            return {}
        above = self.stack[-1]
        assert above.label is not None
        return {
            choice: label
            for choice, label in above.sleep.items()
            if choice.task != above.chosen.task and not dependent(label, above.label)
        }

    def _prefer_same_task(self, awake: list[Choice]) -> Choice:
        """Staying with a task makes executions that read well."""
        if self.stack:
            for choice in awake:
                if choice.task == self.stack[-1].chosen.task:
                    return choice
        return awake[0]

    # ---- races

    def end(self, execution: Execution, finished: bool) -> None:
        self._note_newest(execution)
        order = self.order
        if order is None:
            order = self.order = Order(len(execution.program.tasks))
        order.truncate(self._kept(order, execution.events))
        first_new = len(order.events)
        found = [order.add(event) for event in execution.events[first_new:]]
        for position, conflicts in enumerate(found, first_new):
            event = order.events[position]
            racing = Racing(event.task, event.label, position, order.before[position])
            self._reverse_all(order, conflicts, racing)
        for task in execution.program.tasks:
            label = self._pending_label(execution, task.index)
            if label is not None:
                racing = Racing(task.index, label, None, order.last[task.index])
                self._reverse_all(order, order.conflicts(task.index, label), racing)

    @staticmethod
    def _kept(order: Order, events: list[Event]) -> int:
        """How many events at the start are those of the execution before."""
        kept = 0
        for old, new in zip(order.events, events, strict=False):
            if (old.task, old.choice, old.label) != (new.task, new.choice, new.label):
                break
            kept += 1
        return kept

    def _pending_label(self, execution: Execution, index: int) -> Label | None:
        """What a task would do that is blocked, or asleep where the execution was given up."""
        operation = execution.program.tasks[index].pending
        if operation is None:
            return None
        if operation.blocked is not None:
            return operation.blocked
        for choice, label in self._inherited_sleep().items():
            if choice.task == index:
                return label
        return None

    def _reverse_all(self, order: Order, conflicts: list[int], racing: Racing) -> None:
        ordered = list(racing.before)
        for earlier in conflicts:
            event = order.events[earlier]
            if racing.label.blocking and event.label.kind in RELEASES:
                continue  # a wait and the release that ends it come in this order only
            if ordered[event.task] >= earlier:
                continue  # something in between orders the two
            if not (racing.label.blocking or racing.label.killable):
                # What comes before `earlier` is reversed when this pair has been.  With a
                # lock that is not so: it may be taken before any of those who had it.
                ordered = [max(pair) for pair in zip(ordered, order.clocks[earlier], strict=True)]
            self._reverse(order, earlier, racing)

    def _reverse(self, order: Order, earlier: int, racing: Racing) -> None:
        """Make sure that some task is tried before `earlier` that begins the other order."""
        frame = self.stack[earlier]
        enabled = {choice.task for choice in frame.enabled}
        between = not_after(order, earlier, racing)
        if racing.label.kind == AWAIT or racing.label.killable:
            frame.wanted |= enabled  # labels do not tell what ends such a wait
            return
        if racing.label.blocking:
            possible = without_those_in_the_way(order, earlier, between, racing)
            if possible is None:
                return
            between = possible
        beginnings = initials(order, between)
        if not between or (racing.label.target >= 0 and apart(order, between, racing)):
            beginnings.add(racing.task)
        beginnings &= enabled
        if not beginnings:
            frame.wanted |= enabled
        elif not beginnings & frame.wanted:
            frame.wanted.add(racing.task if racing.task in beginnings else min(beginnings))
