"""What a search has found so far: the best telling of each rule that broke."""

from dataclasses import dataclass

from pfnlab.engine.execution import Broken, Execution
from pfnlab.explorer.order import Order
from pfnlab.explorer.shortest import Telling, shortened, whole


@dataclass
class Candidate:
    """The best tellings so far of one broken rule, and how many executions broke it."""

    short: Telling
    full: Telling
    failing: int = 1


class Kept:
    """Candidates by rule; and notes, of rules that may break."""

    def __init__(self) -> None:
        self.failing = 0
        self.candidates: dict[str, Candidate] = {}
        self.notes: dict[str, tuple[Telling, tuple[str, ...]]] = {}

    def failure(self, execution: Execution, broken: Broken, order: Order | None = None) -> None:
        """A rule broke in this execution."""
        rule = broken.violation.rule
        known = self.candidates.get(rule)
        most = known.short.steps if known is not None else None
        short = shortened(execution, broken, order, most)
        if known is None:
            if short is not None:
                self.candidates[rule] = Candidate(short, whole(execution))
            return
        known.failing += 1
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
