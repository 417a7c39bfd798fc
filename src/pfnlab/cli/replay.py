"""pfnlab replay: follow one schedule, as a counterexample printed it."""

import json
from typing import Annotated

import typer

import pfnlab
from pfnlab.catalogue import check_rule_names, find_design, find_scenario
from pfnlab.report.counterexample import finding_text
from pfnlab.report.data import SCHEMA, finding_data
from pfnlab.verdict import replay as follow


def replay(
    design: Annotated[str, typer.Argument(help="A name, or ./file.py[:name].")],
    scenario: Annotated[str, typer.Argument(help="A name, or ./file.py[:name].")],
    schedule: Annotated[str, typer.Argument(help='As printed: "config:1,vcpu:5,config:2".')],
    kernel: Annotated[
        str | None, typer.Option(help="A kernel profile, as v6.9; by default the design's own.")
    ] = None,
    rule: Annotated[
        list[str] | None, typer.Option(help="Check only this rule, by name or number; repeatable.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (docs/json.md).")] = False,
) -> int:
    """Follow one schedule and print what happens.  Exit status 1 if a rule breaks."""
    a_design, a_scenario = find_design(design), find_scenario(scenario)
    check_rule_names(rule or (), [scenario])
    finding = follow(
        a_scenario, a_design, schedule, kernel=kernel, rules=tuple(rule) if rule else None
    )
    if as_json:
        data = finding_data(finding) if finding is not None else None
        print(
            json.dumps(
                {"schema": SCHEMA, "pfnlab": pfnlab.__version__, "design": a_design.name,
                 "scenario": a_scenario.name, "finding": data},
                indent=2,
            )
        )  # fmt: skip
    elif finding is None:
        print(f"{a_scenario.name} on {a_design.name}: no rule breaks along {schedule}")
    else:
        print(f"{a_scenario.name} on {a_design.name}: FAIL  {finding.violation.rule}\n")
        print(finding_text(finding))
    return 0 if finding is None else 1
