"""The matrix of designs and scenarios."""

from collections.abc import Callable

import pytest

from pfnlab import Finding, Result, Violation
from pfnlab.explorer.result import Trace
from pfnlab.report.matrix import cell_text, matrix_text, summary_text


def result_of(rule: str = "", *, complete: bool = True, schedules: int = 7) -> Result:
    findings = []
    if rule:
        violation = Violation(rule, "A sentence.", (), "task", 1)
        findings.append(Finding(violation, "task:1", 1, 0, Trace((), ("task",))))
    return Result(tuple(findings), schedules, 0, len(findings), complete, 9, "dpor")


OK, FAIL = result_of(), result_of("lock_order")
OPEN = result_of(complete=False)


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (OK, "ok"),
        (FAIL, "FAIL lock_order"),
        (result_of("lock_order", complete=False), "FAIL lock_order"),
        (OPEN, "?"),
        (None, "not run"),
    ],
)
def test_a_cell_is_ok_or_a_rule_or_a_question(result: Result | None, text: str) -> None:
    assert cell_text(result) == text


def test_a_matrix_has_a_row_for_each_design(
    same_as_snapshot: Callable[[str, str], None],
) -> None:
    designs, scenarios = ["wide_design_name", "d"], ["first", "second"]
    cells = {
        ("wide_design_name", "first"): OK,
        ("wide_design_name", "second"): FAIL,
        ("d", "first"): OPEN,
        ("d", "second"): None,
    }

    text = f"{matrix_text(designs, scenarios, cells)}\n\n{summary_text(cells)}"

    same_as_snapshot("matrix_of_every_kind", text)


def test_a_wide_matrix_continues_below() -> None:
    scenarios = [f"scenario_with_a_long_name_{number}" for number in range(8)]
    cells = {("design", scenario): OK for scenario in scenarios}

    text = matrix_text(["design"], scenarios, cells)

    assert max(map(len, text.splitlines())) <= 100
    assert text.count("\n\n") == 2
    for scenario in scenarios:
        assert text.count(scenario) == 1


def test_a_matrix_that_fits_exactly_is_not_split() -> None:
    scenarios = ["a" * 45, "b" * 45]
    cells = {("d", scenario): OK for scenario in scenarios}

    text = matrix_text(["d"], scenarios, cells)

    assert len(text.splitlines()[0]) == 100
    assert len(text.splitlines()) == 2


def test_a_matrix_that_is_one_column_too_wide_is_split() -> None:
    cells = {("d", "a" * 45): OK, ("d", "b" * 46): OK}

    assert len(matrix_text(["d"], ["a" * 45, "b" * 46], cells).splitlines()) == 5


def test_the_summary_counts_what_was_not_proved() -> None:
    cells = {("d", "a"): OK, ("d", "b"): FAIL, ("d", "c"): OPEN, ("d", "e"): None}

    assert summary_text(cells) == (
        "4 checks, 21 schedules: 1 ok (every interleaving), 1 failed, 2 incomplete (?)"
    )


def test_the_summary_of_a_finished_matrix_has_no_question() -> None:
    assert summary_text({("d", "a"): OK}) == (
        "1 check, 7 schedules: 1 ok (every interleaving), 0 failed"
    )
