"""How many Mazurkiewicz traces programs have: numbers that others have found too.

trace_counts.json says of each row who confirmed it: brute force over all partial traces,
nidhugg, GenMC, Concuerror.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from pfnlab.engine import Program
from pfnlab.engine.execution import Execution
from pfnlab.explorer.optimal import Optimal
from tests.explorer.brute_force import brute_force, search_all
from tests.explorer.literature import built

ROWS: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "trace_counts.json").read_text(encoding="utf-8")
)["rows"]

# Few traces, but long ones.
SLOW = ("filesystem:18", "filesystem:19", "filesystem:22", "indexer:14")


def traces(row: dict[str, Any]) -> int:
    return int(row["complete"]) + int(row["blocked"])


def rows() -> list[Any]:
    return [
        pytest.param(
            row,
            id=row["spec"],
            marks=[pytest.mark.slow] if traces(row) > 700 or row["spec"] in SLOW else [],
        )
        for row in ROWS
    ]


@pytest.mark.parametrize("row", rows())
def test_the_search_runs_every_trace_exactly_once(row: dict[str, Any]) -> None:
    execution = Execution(Program(), built(row["spec"]))
    search = Optimal(execution)
    counts = {"complete": 0, "blocked": 0, "in vain": 0}
    while search.next():
        ended = all(execution.store.ended)
        counts["in vain" if search.in_vain else "complete" if ended else "blocked"] += 1
    execution.end()

    assert counts == {"complete": row["complete"], "blocked": row["blocked"], "in vain": 0}
    assert not search.fell_back


SMALL = [row for row in ROWS if traces(row) <= 10 and not row["spec"].startswith(("file", "index"))]


@pytest.mark.parametrize("row", SMALL, ids=[row["spec"] for row in SMALL])
def test_brute_force_finds_the_same_traces(row: dict[str, Any]) -> None:
    every = brute_force(built(row["spec"]))

    assert (every.ended, every.blocked) == (row["complete"], row["blocked"])
    assert search_all(built(row["spec"])).outcomes == every.outcomes


def test_every_row_says_who_confirmed_it() -> None:
    assert len(ROWS) == 110
    assert all(row["confirmed_by"] for row in ROWS)


# Blocked executions of Source-DPOR depend on who goes first; for these others have the same.
@pytest.mark.parametrize(("number", "at_least"), [(4, 1), (5, 10), (6, 50)])
def test_source_dpor_runs_some_in_vain_and_loses_none(number: int, at_least: int) -> None:
    found = search_all(built(f"lastzero:{number}"), optimal=False)

    assert len(found.outcomes) == (number + 3) * 2 ** (number - 2)
    assert found.given_up >= at_least
