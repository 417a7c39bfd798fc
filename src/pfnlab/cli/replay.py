"""pfnlab replay: follow one schedule, as a counterexample printed it, or a saved counterexample."""

import json
from contextlib import suppress
from dataclasses import replace as changed_in
from pathlib import Path
from typing import Annotated, Any

import typer

import pfnlab
from pfnlab.catalogue import (
    NO_DESIGN,
    NotHere,
    check_rule_names,
    find_pair,
    find_scenario,
    is_path,
)
from pfnlab.cli.options import AsJson
from pfnlab.cli.runs import names_of
from pfnlab.engine.errors import ModelError
from pfnlab.explorer.result import Finding
from pfnlab.explorer.saved import Saved
from pfnlab.report.as_test import test_text
from pfnlab.report.counterexample import title_text, titled_text
from pfnlab.report.data import SCHEMA, finding_data
from pfnlab.report.saved import followed_text, parting_text, saved_of
from pfnlab.verdict import follow_saved
from pfnlab.verdict import replay as follow

USAGE = (
    "replay needs DESIGN SCENARIO SCHEDULE, FILE.py SCHEDULE of a program without a kernel, or "
    "FILE.json that check --save has written"
)


def replay(
    design: Annotated[
        str,
        typer.Argument(
            help="A name, or ./file.py[:name]; a program without a kernel stands for both; or "
            "alone, a saved counterexample."
        ),
    ],
    scenario: Annotated[str | None, typer.Argument(help="A name, or ./file.py[:name].")] = None,
    schedule: Annotated[
        str | None, typer.Argument(help='As printed: "config:1,vcpu:5,config:2".')
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(help="A kernel profile, as v6.9; by default the design's own.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="Check only this rule, by name or number; repeatable.")
    ] = None,
    as_json: AsJson = False,
    as_test: Annotated[
        bool, typer.Option("--as-test", help="Print a pytest function to paste.")
    ] = False,
) -> int:
    """Follow one schedule, or a saved counterexample, and print what happens.

    A saved counterexample is followed as far as it fits the design of today.  Exit status 1 if
    a rule breaks.
    """
    if as_json and as_test:
        raise ModelError("--as-test prints Python, and --json JSON: choose one")
    rules = tuple(rule) if rule else None
    if scenario is None and design.endswith(".json"):
        return _replay_file(design, kernel, rules, as_json, as_test)
    if scenario is not None and schedule is None and _is_plain(design):
        design, scenario, schedule = NO_DESIGN, design, scenario
    if scenario is None or schedule is None:
        raise ModelError(USAGE)
    a_design, a_scenario = find_pair(design, scenario)
    check_rule_names(rule or (), [scenario])
    finding = follow(a_scenario, a_design, schedule, kernel=kernel, rules=rules)
    names = names_of((design, scenario))
    if as_test:
        print(test_text(design, scenario, names, schedule, finding, kernel, rules), end="")
        return 0
    if as_json:
        print(_json(names, finding))
    elif finding is None:
        print(f"{title_text(*names)}: no rule breaks along {schedule or 'nothing'}")
    else:
        print(titled_text(title_text(*names), finding))
    return _status(finding)


def _is_plain(spec: str) -> bool:
    """Whether it names a program without a kernel."""
    with suppress(NotHere):
        return is_path(spec) and find_scenario(spec).is_plain
    return False


def _status(finding: Finding | None) -> int:
    if finding is None:
        return 0
    return 2 if finding.is_error else 1


def _replay_file(
    path: str, kernel: str | None, rules: tuple[str, ...] | None, as_json: bool, as_test: bool
) -> int:
    saved = load_saved(path)
    saved = changed_in(saved, kernel=kernel or saved.kernel, rules=rules or saved.rules)
    check_rule_names(saved.rules or (), [saved.scenario.spec])
    followed, changed = follow_saved(saved)
    finding = followed.finding
    names = saved.design.name, saved.scenario.name
    if as_test:
        specs = saved.design.spec, saved.scenario.spec
        text = test_text(*specs, names, followed.schedule, finding, saved.kernel, saved.rules)
        print(text, end="")
        return 0
    if as_json:
        partings = [parting_text(parting) for parting in followed.partings]
        print(_json(names, finding, partings=partings, changed=list(changed)))
    else:
        print(followed_text(saved, followed, changed))
    return _status(finding)


def load_saved(path: str) -> Saved:
    """Read a saved counterexample; raises ModelError for anything else."""
    if Path(path).is_dir():
        raise ModelError(f"{path} is a directory, not a saved counterexample")
    if not Path(path).is_file():
        raise ModelError(f"there is no file {path}")
    try:
        text = Path(path).read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ModelError(f"{path} is no saved counterexample: it is no text") from error
    return saved_of(text, path)


def _json(names: tuple[str, str], finding: Finding | None, **more: Any) -> str:
    data = finding_data(finding) if finding is not None else None
    head = {"schema": SCHEMA, "pfnlab": pfnlab.__version__}
    which = {"design": names[0] or None, "scenario": names[1]}
    return json.dumps({**head, **which, "finding": data, **more}, indent=2)
