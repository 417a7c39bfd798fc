"""Findings that are told apart: by rule, and by the source lines of the steps that race."""

from collections.abc import Sequence
from dataclasses import replace

from pfnlab.explorer.result import Finding

Place = tuple[str, tuple[str, ...]]


def place_of(finding: Finding) -> Place:
    """The rule, and the lines of the racing pair; without one, the line where the rule broke."""
    trace = finding.trace
    if trace.race is not None:
        lines = {step.number: step.site for step in trace.steps}
        return finding.violation.rule, tuple(lines[number] for number in trace.race)
    return finding.violation.rule, (trace.site,)


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
