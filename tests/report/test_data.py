"""Results as JSON."""

import json

from pfnlab import explore
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.report.data import SCHEMA, report_data, result_data
from pfnlab.scenarios.faults import first_fault
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.test_zap_before_the_lock import zap_before_the_lock


def test_a_check_that_was_not_run_is_said_to_be_so() -> None:
    assert result_data("a", "b", None) == {"design": "a", "scenario": "b", "verdict": "not run"}


def test_a_report_has_its_schema_and_one_result_for_each_row() -> None:
    held = explore(first_fault, huge_fault.design)
    data = report_data("1.2", [("huge_fault", "first_fault", held), ("a", "b", None)])

    assert (data["schema"], data["pfnlab"]) == (SCHEMA, "1.2")
    assert [row["verdict"] for row in data["results"]] == ["ok", "not run"]


def test_a_report_survives_json() -> None:
    broken = explore(first_fault, remap_on_fault.design)
    data = report_data("1.2", [("remap_on_fault", "first_fault", broken)])

    assert json.loads(json.dumps(data)) == data


def test_the_race_of_a_trace_names_two_of_its_steps() -> None:
    result = explore(zap_vs_fault, zap_before_the_lock)
    trace = result_data("d", "s", result)["findings"][0]["trace"]

    first, second = trace["race"]
    by_number = {step["step"]: step for step in trace["steps"]}
    assert by_number[first]["task"] != by_number[second]["task"]
    assert {by_number[first]["verb"], by_number[second]["verb"]} == {"zap", "set_pmd"}


def test_a_task_that_holds_no_lock_is_left_out() -> None:
    result = explore(zap_vs_fault, remap_on_fault.design)
    held = result_data("d", "s", result)["findings"][0]["trace"]["held"]

    assert list(held) == ["vcpu"]
