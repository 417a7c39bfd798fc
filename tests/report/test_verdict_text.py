"""A verdict in one line."""

from dataclasses import replace

from pfnlab import Result
from pfnlab.report.counterexample import verdict_text

STOPPED = Result((), 10, 0, 0, False, 999, "dpor", "stopped after 8 s")


def test_a_stopped_search_says_how_far_it_came() -> None:
    assert verdict_text(STOPPED, "turns") == (
        "turns: INCOMPLETE, 10 schedules without a failure (stopped after 8 s)"
    )


def test_a_stopped_search_with_a_very_long_schedule_asks_for_a_loop() -> None:
    text = " ".join(verdict_text(replace(STOPPED, steps=3_127), "turns").split())

    assert text.endswith("; one has 3,127 steps: is there a loop that others keep going?")
