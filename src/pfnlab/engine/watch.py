"""Rules that must hold after every step, evaluated no more often than needed.

A rule is a function of the cells that it reads.  So it is evaluated again only when one of
them is written, and not even then if it has been seen to read the same values before: what
it reads, and in which order, is kept as a tree from values to the next cell and at last to
the evidence.

What a rule reads becomes part of that step's label: to the explorer the step and the look at
the state are one event, which cannot be swapped with another write to anything the rule
looks at.
"""

from typing import Any, final

from pfnlab.engine.alike import alike
from pfnlab.engine.current import CURRENT
from pfnlab.engine.label import Label
from pfnlab.engine.program import Invariant, Program
from pfnlab.engine.store import Store


@final
class Verdict:
    """What a rule says of some values: its evidence, and the cells that it has looked at."""

    def __init__(self, cells: tuple[int, ...], evidence: tuple[str, ...]) -> None:
        self.came: Any = None  # the value that leads here
        self.cells = cells
        self.evidence = evidence
        self.bits = 0
        for cell in cells:
            self.bits |= 1 << cell


@final
class Look:
    """A cell that a rule reads next, and what comes after each of its values."""

    def __init__(self, cell: int) -> None:
        self.came: Any = None  # the value that leads here
        self.cell = cell
        self.next: dict[Any, Look | Verdict] = {}

    def after(self, value: Any) -> "Look | Verdict | None":
        """What comes after a value; None if it has not been seen here."""
        known = self.next.get(value)
        if known is not None and known.came is not value and not alike(known.came, value):
            return None
        return known

    def add(self, value: Any, node: "Look | Verdict") -> None:
        node.came = value
        self.next[value] = node


Broken = tuple[Invariant, tuple[str, ...]]


@final
class Watch:
    """The rules of a program, and what each has read in the present state."""

    def __init__(self, program: Program, store: Store) -> None:
        self.rules = program.invariants
        self.program = program
        self.store = store
        self.known: list[Look | Verdict | None] = []
        self.reading: list[tuple[int, Any]] | None = None  # while a rule is evaluated
        self.now: list[Verdict] = []
        self.first: list[Verdict] = []
        self.labels: dict[tuple[Label, tuple[int, ...]], Label] = {}

    def begin(self) -> Broken | None:
        """Evaluate every rule in the first state."""
        broken = None
        self.known = [None] * len(self.rules)
        for place, rule in enumerate(self.rules):
            verdict = self.verdict(place)
            self.first.append(verdict)
            if verdict.evidence and broken is None and self.program.enforces(rule.rule):
                broken = None if rule.rule.accepted else (rule, verdict.evidence)
        self.restart()
        return broken

    def restart(self) -> None:
        self.now = list(self.first)

    def after(self, label: Label) -> list[Broken]:
        """Look again after a step: store.label gets what the rules read, and the rules it broke.

        Of rules that may not break only the first is said; those that may come along.
        """
        written = label.writes | label.adds
        broken: list[Broken] = []
        failed = False
        read: list[int] = []
        for place, rule in enumerate(self.rules):
            before = self.now[place]
            if not written & before.bits or not self.program.enforces(rule.rule):
                continue
            verdict = self.verdict(place)
            self.now[place] = verdict
            read += before.cells
            read += verdict.cells
            if verdict.evidence and (rule.rule.accepted or not failed):
                broken.append((rule, verdict.evidence))
                failed = failed or not rule.rule.accepted
        if read:
            key = (label, tuple(dict.fromkeys(read)))
            wider = self.labels.get(key)
            if wider is None:
                wider = self.labels[key] = label.reading(key[1])
            self.store.label = wider
        return broken

    def verdict(self, place: int) -> Verdict:
        """What a rule says of the present state."""
        at = self.known[place]
        while isinstance(at, Look):
            at = at.after(self._value(at.cell))
        if at is None:
            at = self._evaluate(place)
        return at

    def _value(self, cell: int) -> Any:
        members = self.store.members.get(cell)
        if members is None:
            return self.store.values[cell]
        values = self.store.values
        return tuple([values[member] for member in members])

    def _evaluate(self, place: int) -> Verdict:
        """Run the rule's own code, and remember what it read."""
        self.reading = []
        CURRENT.watch = self
        try:
            rule = self.rules[place]
            evidence = tuple(str(item) for item in rule.check(self.program))
            read = dict(self.reading)
        except Exception as error:
            error.add_note(f"in rule {self.rules[place].rule.name}")
            raise
        finally:
            self.reading = None
            CURRENT.watch = None
        verdict = Verdict(tuple(read), evidence)
        at: Look | None = None
        value: Any = None
        for cell, its in read.items():
            node = self.known[place] if at is None else at.after(value)
            if not isinstance(node, Look):
                node = Look(cell)
                self._hang(place, at, value, node)
            at, value = node, its
        self._hang(place, at, value, verdict)
        return verdict

    def _hang(self, place: int, at: Look | None, value: Any, node: "Look | Verdict") -> None:
        if at is None:
            self.known[place] = node
        else:
            at.add(value, node)

    def read(self, cell: int) -> Any:
        """A rule reads a cell, or a collection as a whole: all that was ever used of it."""
        assert self.reading is not None
        value = self._value(cell)
        self.reading.append((cell, value))
        return value
