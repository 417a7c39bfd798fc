"""What a search has found so far: the best telling of each distinct failure.

Failures are the same if they break one rule at one place: with the same last step, or the same
two steps that met there.  What a place is must be known for every failing execution at once, so
it is made of labels; the source lines of a place are only known when its telling is followed
again, and places that turn out to have the same lines are put together then (distinct.py).
"""

from dataclasses import dataclass, replace
from typing import Any

from pfnlab.engine.event import Event
from pfnlab.engine.execution import Broken, Execution
from pfnlab.engine.label import ADD
from pfnlab.explorer.order import Order, order_as_made
from pfnlab.explorer.shortest import Telling, shortened, whole

MOST_PLACES = 12  # of one rule that are told apart; all others count as one more


@dataclass
class Candidate:
    """The best tellings so far of one failure, and how many executions had it."""

    rule: str
    short: Telling
    full: Telling
    failing: int = 1


class Kept:
    """Candidates by rule and place; and notes, of rules that may break.

    failing  executions that broke a rule
    broke    the same, by rule and place
    places   of each rule, how many are told apart
    """

    def __init__(self) -> None:
        self.failing = 0
        self.broke: dict[str, int] = {}
        self.candidates: dict[str, Candidate] = {}
        self.places: dict[str, int] = {}
        self.notes: dict[str, tuple[Telling, tuple[str, ...]]] = {}

    def everything(self, execution: Execution, *, clocked: bool = False, count: int = 1) -> None:
        """What broke in an execution that has run to its end."""
        if execution.broken:
            self.failing += count
        for broken in execution.broken:
            order = order_as_made(execution.events) if clocked else None
            self.failure(execution, broken, order, count)
        for note in execution.notes:
            order = order_as_made(execution.events) if clocked else None
            self.note(execution, note, order)

    def failure(
        self, execution: Execution, broken: Broken, order: Order | None = None, count: int = 1
    ) -> None:
        """A rule broke in this execution."""
        rule = broken.violation.rule
        key = f"{rule} {place_of(execution, broken)}"
        if key not in self.candidates and self.places.get(rule, 0) >= MOST_PLACES:
            key = f"{rule} elsewhere"
        self.broke[key] = self.broke.get(key, 0) + count
        known = self.candidates.get(key)
        most = known.short.steps if known is not None else None
        short = shortened(execution, broken, order, most)
        if known is None:
            if short is not None:
                self.candidates[key] = Candidate(rule, short, whole(execution), self.broke[key])
                self.places[rule] = self.places.get(rule, 0) + 1
            return
        known.failing = self.broke[key]
        if sum(event.steps for event in execution.events) <= known.full.steps:
            known.full = min(known.full, whole(execution), key=Telling.key)
        if short is not None:
            known.short = min(known.short, short, key=Telling.key)

    def rules(self) -> set[str]:
        return {candidate.rule for candidate in self.candidates.values()}

    def note(self, execution: Execution, note: Broken, order: Order | None = None) -> None:
        """The shortest telling of a known exception, taken when it is met."""
        known = self.notes.get(note.violation.rule)
        told = shortened(execution, note, order, known[0].steps if known is not None else None)
        if told is not None and (known is None or told.key() < known[0].key()):
            self.notes[note.violation.rule] = (told, note.violation.evidence)

    def add(self, other: "Kept") -> None:
        """What another part of the same search has found."""
        self.failing += other.failing
        for key, many in other.broke.items():
            self.broke[key] = self.broke.get(key, 0) + many
        for key, found in other.candidates.items():
            if key not in self.candidates:
                self.candidates[key] = replace(found)
                self.places[found.rule] = self.places.get(found.rule, 0) + 1
            known = self.candidates[key]
            known.short = min(known.short, found.short, key=Telling.key)
            known.full = min(known.full, found.full, key=Telling.key)
        for key, known in self.candidates.items():
            known.failing = self.broke[key]
        for rule, note in other.notes.items():
            self.notes[rule] = min(self.notes.get(rule, note), note, key=lambda told: told[0].key())

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "failing": self.failing,
            "broke": self.broke,
            "places": self.places,
            "candidates": {
                key: [found.rule, found.short.key(), found.full.key()]
                for key, found in self.candidates.items()
            },
            "notes": {rule: [note[0].key(), note[1]] for rule, note in self.notes.items()},
        }

    @staticmethod
    def of(data: Any) -> "Kept":
        """The reverse of data()."""
        kept = Kept()
        kept.failing, kept.broke = data["failing"], dict(data["broke"])
        kept.places = dict(data["places"])
        for key, (rule, short, full) in data["candidates"].items():
            found = Candidate(rule, Telling(*short), Telling(*full), kept.broke[key])
            kept.candidates[key] = found
        for rule, (telling, evidence) in data["notes"].items():
            kept.notes[rule] = (Telling(*telling), tuple(evidence))
        return kept


def place_of(execution: Execution, broken: Broken) -> str:
    """Where a rule broke, as far as the labels of steps tell."""
    events = execution.events
    if broken.race is not None:
        return " ".join(_words(execution, events[position]) for position in broken.race)
    if broken.relevant:  # of several tasks: where each of them is
        newest = {events[position].task: events[position] for position in sorted(broken.relevant)}
        return " ".join(_words(execution, newest[task]) for task in sorted(newest))
    if broken.event < 0:
        return ""
    last = events[broken.event]
    met = _met(events, broken.event)
    return _words(execution, last, *([met] if met is not None else []))


def _met(events: list[Event], position: int) -> Event | None:
    """The newest step of another task on a word that the task of this one used after it."""
    task = events[position].task
    used = 0
    for event in reversed(events[: position + 1]):
        memory = [number for number, mode in event.label.accesses if mode <= ADD]
        if event.task == task:
            for number in memory:
                used |= 1 << number
        elif any(used >> number & 1 for number in memory):
            return event
    return None


def _words(execution: Execution, *events: Event) -> str:
    """Steps, with names of cells: numbers are others in another process."""
    cells = execution.cells
    parts = [
        f"{event.task}:"
        + ",".join(f"{cells[number].name}.{mode}" for number, mode in event.label.accesses)
        for event in events
    ]
    return " ".join(parts)
