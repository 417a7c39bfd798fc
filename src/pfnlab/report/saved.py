"""Saved counterexamples: the file, and what is printed when one is followed; docs/json.md."""

import json
from typing import Any

from pfnlab.errors import UNREADABLE, ModelError, why_unreadable
from pfnlab.explorer.follow import Followed, Parting
from pfnlab.explorer.saved import Saved, SavedStep, Source
from pfnlab.report.counterexample import title_text, titled_text, wrapped
from pfnlab.report.layout import many

SAVED_SCHEMA = 1
MOST_PARTINGS = 5  # that are printed
KIND = "counterexample"


def saved_text(saved: Saved) -> str:
    """The file: JSON with one step a line, so that versions of it can be compared."""
    runs = [[json.dumps(step._asdict()) for step in run] for run in saved.runs]
    text = json.dumps(
        {
            "schema": SAVED_SCHEMA,
            "kind": KIND,
            "pfnlab": saved.pfnlab,
            "design": saved.design._asdict(),
            "scenario": saved.scenario._asdict(),
            "kernel": saved.kernel,
            "rules": saved.rules,
            "rule": saved.rule,
            "schedule": saved.schedule,
        },
        indent=2,
    )
    lines = ",\n".join("    [\n      " + ",\n      ".join(run) + "\n    ]" for run in runs)
    return f'{text[:-2]},\n  "runs": [\n{lines}\n  ]\n}}\n'


def saved_of(text: str, path: str) -> Saved:
    """Read a file; raises ModelError that says what is wrong with it."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError) as error:
        why = why_unreadable(error)
        raise ModelError(f"{path} is no saved counterexample: it is no JSON ({why})") from error
    if not isinstance(data, dict) or data.get("kind") != KIND:
        raise ModelError(f"{path} is no saved counterexample; pfnlab check --save writes one")
    if data.get("schema") != SAVED_SCHEMA:
        raise ModelError(
            f"{path} has schema {data.get('schema')!r}, and pfnlab reads {SAVED_SCHEMA}; "
            f"it was written by pfnlab {data.get('pfnlab')}"
        )
    try:
        return _saved(data)
    except KeyError as error:
        raise ModelError(f"{path} is incomplete: it has no {error.args[0]!r}") from error
    except UNREADABLE as error:
        raise ModelError(f"{path} is damaged: {error}") from error


def _saved(data: dict[str, Any]) -> Saved:
    rules = data["rules"]
    if rules is not None:
        _list(rules, "rules")
    _list(data["runs"], "runs")
    for field in ("rules", "runs"):
        if data[field] == []:
            raise ValueError(f"{field} must not be empty: no rule could break")
    return Saved(
        pfnlab=_text(data, "pfnlab"),
        design=_source(data, "design"),
        scenario=_source(data, "scenario"),
        kernel=None if data["kernel"] is None else _text(data, "kernel"),
        rules=None if rules is None else tuple(str(rule) for rule in rules),
        rule=_text(data, "rule"),
        schedule=_text(data, "schedule"),
        runs=tuple(tuple(_step(step) for step in _list(run, "a run")) for run in data["runs"]),
    )


def _source(data: dict[str, Any], field: str) -> Source:
    its = _object(data[field], field)
    return Source(_text(its, "name"), _text(its, "spec"), _text(its, "hash"))


def _step(data: Any) -> SavedStep:
    _object(data, "a step")
    return SavedStep(
        step=_number(data, "step"),
        task=_text(data, "task"),
        verb=_text(data, "verb"),
        object=_text(data, "object"),
        site=_text(data, "site"),
        choice=_number(data, "choice"),
    )


def _object(value: Any, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"{what} must be an object, and is {value!r}")
    return value


def _list(value: Any, what: str) -> list[Any]:
    if not isinstance(value, list):
        raise TypeError(f"{what} must be a list, and is {value!r}")
    return value


def _text(data: dict[str, Any], field: str) -> str:
    if not isinstance(data[field], str):
        raise TypeError(f"{field} must be a text, and is {data[field]!r}")
    return str(data[field])


def _number(data: dict[str, Any], field: str) -> int:
    if type(data[field]) is not int or data[field] < 0:
        raise TypeError(f"{field} must be a number, and is {data[field]!r}")
    return int(data[field])


# ---- what came of following one


def followed_text(saved: Saved, followed: Followed, changed: tuple[str, ...]) -> str:
    """`changed` are the names of the design and scenario whose files differ from the saved ones."""
    title = title_text(saved.design.name, saved.scenario.name)
    finding = followed.finding
    parts = []
    if finding is not None:
        parts.append(titled_text(title, finding))
    else:
        parts.append(f"{title}: no rule breaks along the saved counterexample")
    lines = [f"{name} has changed since the counterexample was saved." for name in changed]
    lines += [parting_text(parting) for parting in followed.partings[:MOST_PARTINGS]]
    more = len(followed.partings) - MOST_PARTINGS
    if more > 0:
        lines.append(f"It parts at {many(more, 'more place')}.")
    if followed.partings or changed or finding is None or finding.violation.rule != saved.rule:
        lines.append(_outcome(saved, followed))
    if lines:
        parts.append("\n".join(wrapped(line) for line in lines))
    return "\n\n".join(parts)


def parting_text(parting: Parting) -> str:
    """ "step 9: recorded `down_read a` by vcpu, now `mutex_lock b` at mine.py:50"."""
    saved = parting.saved
    where = f"step {saved.step}" if saved.step else "before a first step"
    text = f"{where}: recorded `{saved}` by {saved.task}, "
    if parting.how == "gone":
        return f"{text}and there is no such task now"
    if parting.how == "ended":
        return f"{text}which has ended now"
    at = f" at {parting.site}" if parting.site else ""
    waits = "which waits now in" if parting.how == "waits" else "now"
    return f"{text}{waits} `{parting.now}`{at}"


def _outcome(saved: Saved, followed: Followed) -> str:
    finding = followed.finding
    if finding is None:
        return f"{saved.rule} does not break along these steps any more; elsewhere it may."
    if finding.violation.rule == saved.rule:
        return f"{saved.rule} still breaks."
    if finding.is_error:
        return f"It was {saved.rule} that broke, and now a task raises an error before that."
    return f"It was {saved.rule} that broke, and is {finding.violation.rule} now."
