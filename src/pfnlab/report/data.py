"""Results as JSON; docs/json.md describes every field.

The schema is stable: a field may be added, and `schema` grows when one changes.
"""

from typing import Any

from pfnlab.explorer.result import Finding, Note, Result, Trace

SCHEMA = 1


def report_data(version: str, rows: list[tuple[str, str, Result | None]]) -> dict[str, Any]:
    """The whole report; rows are (design, scenario, result), with "" for no design."""
    return {
        "schema": SCHEMA,
        "pfnlab": version,
        "results": [result_data(*row) for row in rows],
    }


def result_data(design: str, scenario: str, result: Result | None) -> dict[str, Any]:
    if result is None:
        return {"design": design or None, "scenario": scenario, "verdict": "not run"}
    return {
        "design": design or None,
        "scenario": scenario,
        "verdict": result.verdict,
        "complete": result.complete,
        "why_incomplete": result.why_incomplete,
        "error": result.error,
        "schedules": result.schedules,
        "given_up": result.given_up,
        "walks": result.walks,
        "fell_back": result.fell_back,
        "failing": result.failing,
        "steps": result.steps,
        "policy": result.policy,
        "seed": result.seed,
        "seconds": round(result.seconds, 3),
        "findings": [finding_data(finding) for finding in result.findings],
        "notes": [note_data(note) for note in result.notes],
    }


def note_data(note: Note) -> dict[str, Any]:
    return {
        "rule": note.rule.name,
        "number": note.rule.number,
        "sentence": note.rule.sentence,
        "evidence": list(note.evidence),
        "schedule": note.schedule,
    }


def finding_data(finding: Finding) -> dict[str, Any]:
    violation = finding.violation
    return {
        "rule": violation.rule,
        "sentence": violation.sentence,
        "evidence": list(violation.evidence),
        "task": violation.task,
        "step": violation.step,
        "schedule": finding.schedule,
        "steps": finding.steps,
        "switches": finding.switches,
        "failing": finding.failing,
        "trace": trace_data(finding.trace),
    }


def trace_data(trace: Trace) -> dict[str, Any]:
    return {
        "steps": [
            {
                "step": step.number,
                "task": step.task,
                "verb": step.verb,
                "detail": step.detail,
                "site": step.site,
            }
            for step in trace.steps
        ],
        "held": {
            task: [{"lock": lock, "mode": mode, "step": step} for lock, mode, step in held]
            for task, held in trace.held.items()
            if held
        },
        "call_trace": [
            {"function": frame.function, "site": frame.site} for frame in trace.call_trace
        ],
        "race": list(trace.race) if trace.race is not None else None,
    }
