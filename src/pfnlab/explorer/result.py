"""What a search found, as data.  Texts are made in report/."""

from dataclasses import dataclass, field
from typing import NamedTuple

from pfnlab.engine.program import Rule, Violation
from pfnlab.engine.raised import ERROR
from pfnlab.engine.record import Frame, TraceStep


def many(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"


def after_schedules(number: int) -> str:
    """Why a search is incomplete that was given so many schedules."""
    return f"stopped after {many(number, 'schedule')}"


def after_seconds(seconds: float) -> str:
    """Why a search is incomplete that was given so many seconds."""
    return f"stopped after {seconds:g} s"


class Held(NamedTuple):
    """A lock that a task held: its name, "read", "write" or "", and the step that took it."""

    lock: str
    mode: str
    step: int


@dataclass(frozen=True)
class Trace:
    """One failing execution, step by step.

    held        locks by task at the moment the rule broke
    call_trace  the functions down to the place where it broke, outermost first
    site        the source line there
    race        the numbers of two steps that no lock orders, if there are such
    """

    steps: tuple[TraceStep, ...]
    tasks: tuple[str, ...]
    held: dict[str, tuple[Held, ...]] = field(default_factory=dict)
    call_trace: tuple[Frame, ...] = ()
    site: str = ""
    race: tuple[int, int] | None = None


@dataclass(frozen=True)
class Finding:
    """A rule that broke, the shortest schedule that breaks it there, and what happens.

    A rule that breaks at several places has a finding for each.
    """

    violation: Violation
    schedule: str
    steps: int
    switches: int
    trace: Trace
    failing: int = 1  # schedules run that broke this rule here

    @property
    def is_error(self) -> bool:
        """The code of a task is wrong: only a schedule that is followed again tells it so."""
        return self.violation.rule == ERROR.name


class Note(NamedTuple):
    """A rule that broke and may: what was seen, and the shortest schedule to it."""

    rule: Rule
    evidence: tuple[str, ...]
    schedule: str


@dataclass(frozen=True)
class Result:
    """The outcome of exploring one program.

    schedules      executions run, those given up as equivalent to another included
    given_up       executions given up
    failing        executions that broke a rule
    walks          random executions besides those, for a first failure
    fell_back      some executions may have been run in vain, as not all that is to be tried
                   could be planned
    complete       every interleaving was covered, so no findings means that the rules hold
    why_incomplete what stopped the search, in words
    steps          of the longest execution
    notes          known exceptions that were met; they change no verdict
    error          what the program did wrong, so that the search ended, in words
    stateless      the program has no rule about its state, always(): only what functions ask
                   for, and the rules of the engine, were checked
    """

    findings: tuple[Finding, ...]
    schedules: int
    given_up: int
    failing: int
    complete: bool
    steps: int
    policy: str
    why_incomplete: str = ""
    seed: int | None = None
    seconds: float = 0.0
    notes: tuple[Note, ...] = ()
    walks: int = 0
    fell_back: bool = False
    error: str = ""
    stateless: bool = False

    @property
    def violation(self) -> Violation | None:
        return self.findings[0].violation if self.findings else None

    @property
    def schedule(self) -> str:
        """The schedule of the first finding, "" if there is none."""
        return self.findings[0].schedule if self.findings else ""

    @property
    def verdict(self) -> str:
        """ "ok", "FAIL", "incomplete" or "error"."""
        if self.error:
            return "error"
        if self.findings:
            return "FAIL"
        return "ok" if self.complete else "incomplete"
