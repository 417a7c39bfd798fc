"""What a search has found so far: the best telling of each rule that broke."""

from dataclasses import dataclass
from typing import Any

from pfnlab.engine.execution import Broken, Execution
from pfnlab.explorer.order import Order, order_as_made
from pfnlab.explorer.shortest import Telling, shortened, whole


@dataclass
class Candidate:
    """The best tellings so far of one broken rule, and how many executions broke it."""

    short: Telling
    full: Telling
    failing: int = 1


class Kept:
    """Candidates by rule; and notes, of rules that may break.

    failing  executions that broke a rule
    broke    the same, of each rule
    """

    def __init__(self) -> None:
        self.failing = 0
        self.broke: dict[str, int] = {}
        self.candidates: dict[str, Candidate] = {}
        self.notes: dict[str, tuple[Telling, tuple[str, ...]]] = {}

    def everything(self, execution: Execution, *, clocked: bool = False) -> None:
        """What broke in an execution that has run to its end; its events have their clocks."""
        if execution.broken:
            self.failing += 1
        for broken in execution.broken:
            order = order_as_made(execution.events) if clocked else None
            self.failure(execution, broken, order)
        for note in execution.notes:
            order = order_as_made(execution.events) if clocked else None
            self.note(execution, note, order)

    def failure(self, execution: Execution, broken: Broken, order: Order | None = None) -> None:
        """A rule broke in this execution."""
        rule = broken.violation.rule
        self.broke[rule] = self.broke.get(rule, 0) + 1
        known = self.candidates.get(rule)
        most = known.short.steps if known is not None else None
        short = shortened(execution, broken, order, most)
        if known is None:
            if short is not None:
                self.candidates[rule] = Candidate(short, whole(execution), self.broke[rule])
            return
        known.failing = self.broke[rule]
        if sum(event.steps for event in execution.events) <= known.full.steps:
            known.full = min(known.full, whole(execution), key=Telling.key)
        if short is not None:
            known.short = min(known.short, short, key=Telling.key)

    def note(self, execution: Execution, note: Broken, order: Order | None = None) -> None:
        """The shortest telling of a known exception, taken when it is met."""
        known = self.notes.get(note.violation.rule)
        told = shortened(execution, note, order, known[0].steps if known is not None else None)
        if told is not None and (known is None or told.key() < known[0].key()):
            self.notes[note.violation.rule] = (told, note.violation.evidence)

    def add(self, other: "Kept") -> None:
        """What another part of the same search has found."""
        self.failing += other.failing
        for rule, many in other.broke.items():
            self.broke[rule] = self.broke.get(rule, 0) + many
        for rule, found in other.candidates.items():
            known = self.candidates.setdefault(rule, found)
            known.short = min(known.short, found.short, key=Telling.key)
            known.full = min(known.full, found.full, key=Telling.key)
        for rule, known in self.candidates.items():
            known.failing = self.broke[rule]
        for rule, note in other.notes.items():
            self.notes[rule] = min(self.notes.get(rule, note), note, key=lambda n: n[0].key())

    def data(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "failing": self.failing,
            "broke": self.broke,
            "candidates": {
                rule: [found.short.key(), found.full.key()]
                for rule, found in self.candidates.items()
            },
            "notes": {rule: [note[0].key(), note[1]] for rule, note in self.notes.items()},
        }

    @staticmethod
    def of(data: Any) -> "Kept":
        """The reverse of data()."""
        kept = Kept()
        kept.failing = data["failing"]
        kept.broke = dict(data["broke"])
        for rule, (short, full) in data["candidates"].items():
            kept.candidates[rule] = Candidate(Telling(*short), Telling(*full), kept.broke[rule])
        for rule, (telling, evidence) in data["notes"].items():
            kept.notes[rule] = (Telling(*telling), tuple(evidence))
        return kept
