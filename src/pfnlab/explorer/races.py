"""The other order of a race, as a sequence of steps with the labels that they will have.

Given a race of event j with a later operation, the other order keeps everything before j,
then what does not come after j (nor after the operation), then the operation.  All but the
last keep their labels, as what they depend on stays before them.  The operation may end in
another way: a trylock succeeds, a wait has to wait.  So it is made once in that state, and
taken back.
"""

from typing import Any, Final

from pfnlab.engine import operation as op_
from pfnlab.engine.event import Event
from pfnlab.engine.fire import Holders, fire, ready
from pfnlab.engine.label import ACQUIRES, MODES, Label
from pfnlab.engine.operation import Operation
from pfnlab.engine.store import Change
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.swap import between

_ACQUIRES: Final = [mode in ACQUIRES for mode in range(MODES)]
# Whose label is the same in every state in which they can happen.
_FIXED: Final = op_.FIXED | {op_.LOCK, op_.COND_WAKE}
TRIED_WITHOUT: Final = 64  # ways to leave steps out before a wait, at most


class Other:
    """The other order of one race."""

    def __init__(self, machine: Machine, first: int, second: int) -> None:
        self.machine = machine
        self.first = first
        events = machine.events
        if second >= 0:
            self.event: Event | None = events[second]
            self.task = events[second].task
            self.op: Operation = events[second].node.op
            self.before = events[second].before
            self.choice = events[second].choice
        else:
            self.event = None
            self.task = -1 - second
            self.op = machine.actors[self.task].node.op
            self.before = machine.past_of(self.task)
            self.choice = 0
        self.between = between(events, first, second)

    def sequences(self) -> list[list[Event]] | None:
        """The steps of the other order; more than one where a wait can end in several ways.

        Empty if there is none: the operation cannot happen before the event.  None if there
        are too many to tell.
        """
        label = self._label(self.between)
        if label is not None:
            return [self._sequence(self.between, label)]
        op = self.op
        if op.code == op_.RETRY or op.code == op_.WAIT:
            return self._without_some()
        return self._without_holders()

    def _sequence(self, between: list[int], label: Label) -> list[Event]:
        events = self.machine.events
        last = Event(self.task, self.choice, label, 0)
        return [*[events[position] for position in between], last]

    def _drop(self, between: list[int], position: int) -> list[int] | None:
        """Leave out one event and what comes after it; None if the operation does."""
        events = self.machine.events
        if self.before >> position & 1:
            return None
        return [other for other in between if not events[other].past >> position & 1]

    def _without_holders(self) -> list[list[Event]]:
        """Leave out who would hold the lock at that time, the newest first."""
        between = self.between
        number = self.op.number
        events = self.machine.events
        while True:
            holders = self._holders(between)
            taken = -1
            for position in between:
                event = events[position]
                if event.task in holders and _acquires(event.label, number):
                    taken = position
            if taken < 0:
                return []
            shorter = self._drop(between, taken)
            if shorter is None:
                return []
            between = shorter
            label = self._label(between)
            if label is not None:
                return [self._sequence(between, label)]

    def _holders(self, between: list[int]) -> set[int]:
        held = self._values(between, [self.op.number])[self.op.number]
        code = self.op.code
        if code == op_.LOCK or code == op_.COND_WAKE:
            return set() if held is None else {held}
        if code == op_.DOWN_READ:
            return {*([held.writer] if held.writer is not None else []), *held.queued}
        return {*([held.writer] if held.writer is not None else []), *held.readers}

    def _without_some(self) -> list[list[Event]] | None:
        """Leave out writes to what a wait looks at, as few as it takes."""
        events = self.machine.events
        looks = 0
        for number, _mode in self._wait_label().accesses:
            looks |= 1 << number
        found: list[list[Event]] = []
        layer = [self.between]
        seen = {tuple(self.between)}
        while layer:
            further: list[list[int]] = []
            for steps in layer:
                for position in steps:
                    if not events[position].label.bits & looks:
                        continue
                    shorter = self._drop(steps, position)
                    if shorter is None or tuple(shorter) in seen:
                        continue
                    if len(seen) >= TRIED_WITHOUT:
                        return None
                    seen.add(tuple(shorter))
                    label = self._label(shorter)
                    if label is not None:
                        found.append(self._sequence(shorter, label))
                    else:
                        further.append(shorter)
            layer = further
        return found

    def _wait_label(self) -> Label:
        if self.op.code != op_.RETRY:
            return self.op.label
        if self.event is not None:
            label: Label = self.event.retry[1]
            return label
        return self.machine.store.retrying[self.task]

    # ---- the state there

    def _label(self, between: list[int]) -> Label | None:
        """The label of the operation after these events; None if it cannot happen there."""
        op, machine = self.op, self.machine
        if op.code in _FIXED and not (machine.rules and op.label.writes):
            if op.waits:
                values = self._values(between, [op.number, *op.cells])
                if values[op.number] is not None:
                    return None
                if op.code == op_.COND_WAKE and self.task in values[op.cells[0]]:
                    return None
            return op.label
        return self._made(between)

    def _values(self, between: list[int], numbers: list[int]) -> dict[int, Any]:
        """What some cells hold after these events."""
        store = self.machine.store
        values = {number: store.value_at(number, self.first) for number in numbers}
        for position in between:
            for number in numbers:
                if store.changed_in(number, position):
                    values[number] = self._after(number, position, values[number])
        return values

    def _made(self, between: list[int]) -> Label | None:
        """Make the operation in the state after these events, and take it back."""
        store, watch = self.machine.store, self.machine.watch
        # Steps on locks write no memory, so no rule looks at the rest.
        lock = op_.LOCK <= self.op.code < op_.WAIT
        changed = self._values(between, self._cells()) if lock else self._state(between)
        kept = {number: store.values[number] for number in changed}
        waiting = store.waiting[self.task]
        retrying = store.retrying[self.task]
        verdicts = watch.now
        for number, value in changed.items():
            store.values[number] = value
        if self.event is not None and self.event.retry is not None:
            store.waiting[self.task], store.retrying[self.task] = self.event.retry
        try:
            if not ready(store, self.op, self.task):
                return None
            mark = len(store.marks)
            if self.machine.rules and not lock:
                watch.now = [watch.verdict(place) for place in range(len(watch.rules))]
            store.begin_event()
            fire(store, self.op, self.task, self.choice)
            if self.machine.rules and store.label.writes:
                watch.after(store.label)
            label = store.label
            store.undo(mark)
            return label
        finally:
            watch.now = verdicts
            store.waiting[self.task], store.retrying[self.task] = waiting, retrying
            for number, value in kept.items():
                store.values[number] = value

    def _cells(self) -> list[int]:
        """What an operation on a lock looks at."""
        op = self.op
        return [op.number, op.signal] if op.signal >= 0 else [op.number]

    def _state(self, between: list[int]) -> dict[int, Any]:
        """What every cell holds after these events, of those written from `first` on."""
        store = self.machine.store
        log, marks = store.log, store.marks
        changed: dict[int, Any] = {}
        for place in range(marks[self.first], len(log)):
            entry = log[place]
            if isinstance(entry, Change) and entry.number not in changed:
                changed[entry.number] = entry.was
        for position in between:
            end = marks[position + 1] if position + 1 < len(marks) else len(log)
            for place in range(marks[position], end):
                entry = log[place]
                if isinstance(entry, Change):
                    number = entry.number
                    changed[number] = self._after(number, position, changed[number])
        return changed

    def _after(self, number: int, position: int, value: Any) -> Any:
        """What a cell holds after an event, if it held this value before it.

        That is what the event left, but for a rw_semaphore: readers commute, and so do waiting
        writers, so others may have come or gone since.
        """
        store = self.machine.store
        after = store.value_at(number, position + 1)
        before = store.value_at(number, position)
        if type(after) is not Holders or type(before) is not Holders:
            return after  # a lock that did not exist before comes with its first value
        return Holders(
            value.writer if after.writer == before.writer else after.writer,
            _changed(value.readers, before.readers, after.readers),
            _changed(value.queued, before.queued, after.queued),
        )


def _changed(
    tasks: tuple[int, ...], before: tuple[int, ...], after: tuple[int, ...]
) -> tuple[int, ...]:
    """Some tasks, with who came and without who went between two others."""
    if before == after:
        return tasks
    if tasks == before:
        return after
    gone = list(before)
    left = list(tasks)
    for task in after:
        if task in gone:
            gone.remove(task)
        else:
            left.append(task)
    for task in gone:
        if task in left:
            left.remove(task)
    return tuple(sorted(left))


def _acquires(label: Label, number: int) -> bool:
    return any(its == number and _ACQUIRES[mode] for its, mode in label.accesses)
