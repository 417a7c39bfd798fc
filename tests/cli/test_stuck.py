"""Code that makes no step is found by the clock."""

import signal
import sys
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

from pfnlab import explore
from pfnlab.cli import stuck
from pfnlab.cli.stuck import no_endless_code
from pfnlab.engine.current import CURRENT
from pfnlab.engine.task import Task
from pfnlab.errors import ModelError
from tests.cli.command import Command
from tests.explorer.oracles import scenario
from tests.explorer.small_programs import last_zero

HANGS = '''
from pfnlab import scenario

@scenario
def one(program):
    """A task goes round in circles, and sees nothing."""

    def turn():
        while True:
            pass

    program.add_task("turns", turn)
'''


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_loop_that_touches_nothing_is_an_error_with_its_place(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, jobs: str
) -> None:
    monkeypatch.setattr(stuck, "LONG", 0.2)
    file = tmp_path / "hangs.py"
    file.write_text(HANGS)
    ran = pfnlab("check", "huge_fault", str(file), "--jobs", jobs)

    assert (ran.status, ran.out) == (2, "")
    place, _colon, words = ran.err.removeprefix("pfnlab: ").partition(": ")
    assert place in (f"{file}:9", f"{file}:10")
    assert words.startswith(
        "the code of turns has run for more than 0.2 s without a step; is this a loop "
    )


def test_it_is_found_within_the_seconds_that_a_search_may_take(
    pfnlab: Command, tmp_path: Path
) -> None:
    file = tmp_path / "hangs.py"
    file.write_text(HANGS)
    began = time.monotonic()
    ran = pfnlab("check", "huge_fault", str(file), "--jobs", "1", "--max-seconds", "0.3")

    assert ran.status == 2
    assert "for more than 0.3 s without a step" in ran.err
    assert time.monotonic() - began < stuck.LONG


def test_a_search_that_goes_on_is_told_from_one_that_does_not() -> None:
    before = CURRENT.runs
    result = explore(scenario(last_zero(5)))

    assert CURRENT.runs > before + result.schedules
    assert CURRENT.task is None


def test_the_clock_is_put_back() -> None:
    before = signal.getsignal(signal.SIGALRM)
    with no_endless_code(60):
        assert signal.getitimer(signal.ITIMER_REAL)[0] > 0

    assert signal.getsignal(signal.SIGALRM) is before
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


@pytest.mark.parametrize("debugged", [False, True])
def test_a_debugger_may_wait_for_its_user(monkeypatch: pytest.MonkeyPatch, debugged: bool) -> None:
    monkeypatch.setattr(CURRENT, "task", Task("stands", 0, lambda: None))
    monkeypatch.setattr(sys, "gettrace", lambda: debugged or None)
    with nullcontext() if debugged else pytest.raises(ModelError), no_endless_code(0.1):
        time.sleep(0.2)
