"""Rules that must hold after every step, evaluated no more often than needed."""

from pfnlab.engine.label import Label
from pfnlab.engine.program import Invariant, Program

Broken = tuple[Invariant, tuple[str, ...]]


class Watch:
    """Knows for each invariant which words it has read in the present state.

    A rule is a function of those words, so it is evaluated again only when one of
    them is written.  What it reads then becomes part of that step's label: to the
    explorer the step and the look at the state are one event, which cannot be
    swapped with another write to anything the rule looks at.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        self.reading: int | None = None  # bits read so far, while a rule is evaluated
        self.footprints: list[int] = []
        self.first: list[int] = []

    def begin(self) -> Broken | None:
        """Evaluate every rule in the first state."""
        broken = None
        for rule in self.program.invariants:
            footprint, evidence = self.evaluate(rule)
            self.first.append(footprint)
            if evidence and broken is None and self.program.enforces(rule.rule):
                broken = None if rule.rule.accepted else (rule, evidence)
        return broken

    def restart(self) -> None:
        self.footprints = list(self.first)

    def after(self, label: Label) -> tuple[Label, list[Broken]]:
        """The label with what the rules read after this step, and the rules it broke.

        Of rules that may not break only the first is said; those that may come along.
        """
        reads = label.reads
        broken: list[Broken] = []
        failed = False
        for index, rule in enumerate(self.program.invariants):
            before = self.footprints[index]
            if (label.writes | label.adds) & before and self.program.enforces(rule.rule):
                footprint, evidence = self.evaluate(rule)
                self.footprints[index] = footprint
                reads |= before | footprint
                if evidence and (rule.rule.accepted or not failed):
                    broken.append((rule, evidence))
                    failed = failed or not rule.rule.accepted
        return label._replace(reads=reads), broken

    def evaluate(self, rule: Invariant) -> tuple[int, tuple[str, ...]]:
        """The words that a rule reads in this state, as bits, and its evidence."""
        self.reading = 0
        try:
            evidence = tuple(str(item) for item in rule.check(self.program))
            return self.reading, evidence
        finally:
            self.reading = None
