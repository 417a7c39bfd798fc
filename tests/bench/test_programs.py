"""What the benchmark measures is what it says."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench.page import table, with_spread
from bench.programs import RATES, Subject, subjects
from bench.promela import promela
from bench.run import MEMORY, VERDICTS, WHOLE
from tests.explorer.small_programs import reduced

ROOT = Path(__file__).resolve().parents[2]
SMALL = [subject for subject in subjects().values() if subject.traces < 1_000]


@pytest.mark.parametrize("subject", SMALL, ids=lambda subject: subject.name)
def test_a_program_has_as_many_traces_as_the_literature_says(subject: Subject) -> None:
    result = reduced(subject.build)

    assert (result.schedules, result.given_up, result.complete) == (subject.traces, 0, True)


def test_every_program_that_is_measured_is_known() -> None:
    assert {*RATES, *VERDICTS, WHOLE, MEMORY} <= set(subjects())


@pytest.mark.parametrize("name", VERDICTS)
def test_spin_gets_a_program_wherever_it_is_asked(name: str) -> None:
    text = promela(name)

    assert text is not None
    assert text.count("{") == text.count("}")


def test_a_program_is_measured_in_a_process_of_its_own() -> None:
    command = [sys.executable, "-m", "bench.explore", "readers(8)", "--runs", "2"]
    answer = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)

    found = json.loads(answer.stdout)

    assert (found["executions"], found["complete"], len(found["rates"])) == (256, True, 1)


def test_the_spread_is_half_the_range_in_percent_of_the_median() -> None:
    assert with_spread([90.0, 100.0, 110.0]) == "100 ± 10%"


def test_numbers_are_put_to_the_right() -> None:
    assert table([["a", "b"], ["x", "1,000"]]).splitlines()[1:] == [
        "| - | ----: |",
        "| x | 1,000 |",
    ]
