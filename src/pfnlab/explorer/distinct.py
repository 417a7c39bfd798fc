"""Findings that are told apart: by rule, and by the source lines of the steps that race."""

from collections.abc import Sequence
from dataclasses import replace

from pfnlab.engine.deadlock import ENDS, NO_DEADLOCK, NO_LIVELOCK
from pfnlab.engine.race import NO_DATA_RACE, NO_USE_AFTER_FREE
from pfnlab.engine.record import TraceStep
from pfnlab.explorer.result import Finding

Place = tuple[str, tuple[str, ...]]


def place_of(finding: Finding) -> Place:
    """The rule and source lines.

    Of a rule about the state, or a data race: the two steps that race.  Of a deadlock: where a
    task waits, and where the locks were taken that are held.  Else where the rule broke: what a
    task must not call, or not do for ever, is wrong there, whoever it races with.
    """
    trace, rule = finding.trace, finding.violation.rule
    lines = {step.number: step.site for step in trace.steps}
    if rule == NO_DEADLOCK.name:
        taken = {lines.get(held.step, "") for locks in trace.held.values() for held in locks}
        return rule, (trace.site, *sorted(taken))
    if rule in (NO_DATA_RACE.name, NO_USE_AFTER_FREE.name):
        return rule, _accesses(finding)
    called = bool(trace.steps) and trace.steps[-1].verb == "call"
    if trace.race is None or called or rule in (NO_LIVELOCK.name, ENDS.name):
        return rule, (trace.site,)
    return rule, tuple(sorted(lines[number] for number in trace.race))


def _accesses(finding: Finding) -> tuple[str, ...]:
    """The last step, and the one of another task on the same word that it races with."""
    *earlier, last = finding.trace.steps
    word = _word(last)
    others = [step.site for step in earlier if step.task != last.task and _word(step) == word]
    return tuple(sorted([last.site, *others[-1:]]))


def _word(step: TraceStep) -> int:
    return step.word if step.word >= 0 else step.label.object


def distinct(findings: Sequence[Finding]) -> list[Finding]:
    """The shortest finding of each place, the shortest of all first."""
    best: dict[Place, Finding] = {}
    for finding in sorted(findings, key=_length):
        place = place_of(finding)
        known = best.setdefault(place, finding)
        if known is not finding:
            best[place] = replace(known, failing=known.failing + finding.failing)
    return list(best.values())


def _length(finding: Finding) -> tuple[int, int, str]:
    return finding.steps, finding.switches, finding.schedule
