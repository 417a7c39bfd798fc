"""The line on how far a search has come."""

from dataclasses import replace

import pytest

from pfnlab.engine.program import Violation
from pfnlab.engine.record import TraceStep
from pfnlab.explorer.estimate import Estimate, Progress
from pfnlab.explorer.result import Finding, Result, Trace
from pfnlab.report.counterexample import result_text
from pfnlab.report.progress import progress_text, rounded, time_text

OK = Result((), 300, 0, 0, complete=True, steps=9, policy="dpor")


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (
            Progress(1234, 0.5, Estimate(9640, 4021, 12_600), 3),
            "1,234 of about 9,600 schedules (4,000 to 13,000), 2,500/s, 3 s left, 3 failing",
        ),
        (Progress(6, 0.5, Estimate(6, 6, 6), 0), "6 of about 6 schedules, 12/s, 0 s left"),
        (Progress(1, 0.5, None, 0), "1 schedule, 2/s"),
        (Progress(0, 0.0, None, 0), "0 schedules, 0/s"),
    ],
)
def test_progress_is_one_line(progress: Progress, text: str) -> None:
    assert progress_text(progress) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "0 s"), (89, "89 s"), (150, "2 min"), (7000, "2 h"), (300_000, "3 days")],
)
def test_times_are_short(seconds: float, text: str) -> None:
    assert time_text(seconds) == text


def test_numbers_that_nobody_knows_have_two_digits() -> None:
    assert [rounded(n) for n in (7, 99, 104, 1_250_000)] == ["7", "99", "100", "1,200,000"]


def test_a_search_that_fell_back_says_so() -> None:
    text = result_text(replace(OK, fell_back=True), "zap", "mine")

    assert text.splitlines()[0] == (
        "zap on mine: ok, every interleaving (300 schedules run, at most 9 steps)"
    )
    assert "the search is as complete" in " ".join(text.split())


def finding(steps: tuple[TraceStep, ...], rule: str = "never") -> Finding:
    return Finding(
        Violation(rule, "Never.", (), "vcpu", len(steps)), "vcpu:1", 1, 0, Trace(steps, ("vcpu",))
    )


def test_what_only_a_walk_has_found_is_said_to_be_so() -> None:
    found = replace(
        OK, findings=(finding(()),), walks=21, complete=False, why_incomplete="interrupted"
    )

    assert result_text(found, "zap", "mine").split("\n\n")[-1] == (
        "  300 schedules run, 0 failing.\n"
        "  One of 21 random walks has found it; the search has not come to it.\n"
        "  The search did not finish (interrupted): others may be shorter."
    )


def test_more_places_of_a_rule_are_counted() -> None:
    found = replace(OK, findings=(finding(()), finding(()), finding((), "other")), failing=4)

    assert "4 failing; also broken: other; also broken in 1 more place (--all-findings)." in (
        result_text(found, "zap", "mine")
    )


def test_a_loop_that_goes_on_is_shown_once() -> None:
    def step(number: int, verb: str) -> TraceStep:
        return TraceStep(number, "vcpu", verb, "x", "a.py:1")

    rounds = [step(2 + n, ("read", "write")[n % 2]) for n in range(20)]
    text = result_text(replace(OK, findings=(finding((step(1, "lock"), *rounds)),)), "s", "d")

    assert [line for line in text.splitlines() if "vcpu" not in line and "x" in line] == [
        "     1  lock  x   a.py:1",
        "     2  read  x   a.py:1",
        "     3  write  x  a.py:1",
    ]
    assert "        steps 2 to 3 again, 9 times\n        ^ never" in text


def test_a_loop_that_goes_on_with_other_values_is_shown_once_if_it_is_long() -> None:
    def told(rounds: int) -> str:
        steps = [TraceStep(1 + n, "vcpu", "write", f"x = {n}", "a.py:1") for n in range(rounds)]
        return result_text(replace(OK, findings=(finding(tuple(steps)),)), "s", "d")

    assert "        step 1 again with other values, 99 times\n        ^ never" in told(100)
    assert "again" not in told(15)
