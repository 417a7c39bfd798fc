"""The matrix of designs and scenarios."""

from collections.abc import Callable

import pytest

from pfnlab import Finding, Result, Violation
from pfnlab.catalogue import all_rules
from pfnlab.engine.program import Rule
from pfnlab.explorer.result import Trace
from pfnlab.report.broken import in_order, label, legend_text, summary_text
from pfnlab.report.layout import table_text
from pfnlab.report.matrix import cell_text, column_text, design_text, group_text, matrix_text

Compare = Callable[[str, str], None]

RULES = {
    "leaf_in_range": Rule("leaf_in_range", "A leaf is out of range.", "R12"),
    "used_when_freed": Rule("used_when_freed", "An object is used after it was freed.", "R7"),
    "no_data_race": Rule("no_data_race", "Two tasks use a field at the same time."),
}


def result_of(rule: str = "", *, complete: bool = True, schedules: int = 7) -> Result:
    findings = []
    if rule:
        violation = Violation(rule, "A sentence.", (), "task", 1)
        findings.append(Finding(violation, "task:1", 1, 0, Trace((), ("task",))))
    return Result(tuple(findings), schedules, 0, len(findings), complete, 9, "dpor")


OK, OPEN = result_of(), result_of(complete=False)
R7, R12, RACE = result_of("used_when_freed"), result_of("leaf_in_range"), result_of("no_data_race")
MINE = result_of("a_rule_of_mine")

GROUPS = {"faults": ["first", "second"], "zaps": ["third"], "pairs": ["a+b", "a+c", "b+c"]}
ROWS: dict[str, list[Result | None]] = {
    "holds": [OK, OK, OK, OK, OK, OK],
    "a_design_that_breaks_some": [OK, R12, R7, RACE, R7, OK],
    "breaks_the_same_everywhere": [R12] * 6,
    "breaks_a_rule_of_the_user": [MINE, OK, OK, OK, OK, OK],
    "did_not_finish": [OPEN, R7, OK, OPEN, None, None],
    "never_began": [None] * 6,
}
SCENARIOS = [name for names in GROUPS.values() for name in names]
CELLS = {
    (design, scenario): result
    for design, row in ROWS.items()
    for scenario, result in zip(SCENARIOS, row, strict=True)
}


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (OK, "ok"),
        (R12, "FAIL R12"),
        (RACE, "FAIL race"),
        (MINE, "FAIL a_rule_of_mine"),
        (result_of("leaf_in_range", complete=False), "FAIL R12"),
        (OPEN, "?"),
        (None, "not run"),
    ],
)
def test_a_cell_is_ok_or_a_rule_or_a_question(result: Result | None, text: str) -> None:
    assert cell_text(result, RULES) == text


@pytest.mark.parametrize(
    ("results", "text"),
    [
        ([OK, OK], "ok"),
        ([OK, R12], "1 R12"),
        ([RACE, R12, R7, R7], "4 R7 R12 race"),
        ([OK, OPEN], "1 ?"),
        ([OPEN, R7, None], "1 R7, 1 ?, 1 not run"),
        ([None, None], "2 not run"),
    ],
)
def test_a_cell_of_a_group_says_how_many_fail_and_why(
    results: list[Result | None], text: str
) -> None:
    assert group_text(dict(zip("abcd", results, strict=False)), RULES) == text


def test_the_matrix_has_a_row_for_each_design_and_a_column_for_each_group(
    same_as_snapshot: Compare,
) -> None:
    same_as_snapshot("matrix_of_every_kind", matrix_text(list(ROWS), GROUPS, CELLS, RULES))


def test_one_scenario_is_a_column(same_as_snapshot: Compare) -> None:
    cells = {(design, "first"): row[0] for design, row in ROWS.items()}

    same_as_snapshot("column_of_every_kind", column_text(list(ROWS), "first", cells, RULES))


def test_one_design_has_a_line_for_each_group_and_names_what_fails(
    same_as_snapshot: Compare,
) -> None:
    texts = [
        design_text(design, GROUPS, dict(zip(SCENARIOS, row, strict=True)), RULES)
        for design, row in ROWS.items()
    ]

    same_as_snapshot("designs_of_every_kind", "\n\n".join(texts))


def test_the_matrix_names_every_scenario_that_is_not_ok() -> None:
    text = matrix_text(["a_design_that_breaks_some"], GROUPS, CELLS, RULES)

    assert "\na_design_that_breaks_some\n  R7    third a+c\n  R12   second\n  race  a+b\n" in text


def test_a_wide_matrix_continues_below() -> None:
    columns = [f"group_with_a_long_name_{number}" for number in range(8)]

    text = table_text("design", columns, {"one": ["ok"] * 8})

    assert max(map(len, text.splitlines())) <= 100
    assert text.count("\n\n") == 2
    assert [text.count(name) for name in columns] == [1] * 8


def test_a_matrix_that_fits_exactly_is_not_split() -> None:
    text = table_text("design", ["a" * 45, "b" * 45], {"d": ["ok", "ok"]})

    assert len(text.splitlines()[0]) == 100
    assert len(text.splitlines()) == 2


def test_a_matrix_that_is_one_column_too_wide_is_split() -> None:
    text = table_text("design", ["a" * 45, "b" * 46], {"d": ["ok", "ok"]})

    assert len(text.splitlines()) == 5


def test_labels_are_sorted_as_people_count() -> None:
    labels = ["?", "race", "R12", "R7", "D1", "R11b", "R11a", "not run", "R7"]

    assert in_order(labels) == ["D1", "R7", "R11a", "R11b", "R12", "race", "?", "not run"]


def test_two_rules_with_one_number_are_both_explained() -> None:
    rules = {name: Rule(name, f"The sentence of {name}.", "R7") for name in ("rule_b", "rule_a")}

    assert legend_text([result_of("rule_b"), OK, None, result_of("rule_a")], rules) == [
        "R7    rule_a: The sentence of rule_a.",
        "R7    rule_b: The sentence of rule_b.",
    ]


def test_no_two_rules_that_ship_without_a_number_have_the_same_label() -> None:
    rules = all_rules()
    labels = [label(name, rules) for name, rule in rules.items() if not rule.number]

    assert len(labels) == len(set(labels))
    assert not set(labels) & {rule.number for rule in rules.values()}


def test_the_summary_counts_what_was_not_proved() -> None:
    assert summary_text([OK, R7, OPEN, None]) == (
        "4 checks, 21 schedules: 1 ok (every interleaving), 1 failed, 1 incomplete (?), 1 not run"
    )


def test_the_summary_of_a_finished_matrix_has_no_question() -> None:
    assert summary_text([OK]) == "1 check, 7 schedules: 1 ok (every interleaving), 0 failed"
