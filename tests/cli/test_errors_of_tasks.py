"""Code of tasks that is wrong: other checks go on, and the way to the error is told."""

import json
import re
from pathlib import Path

import pytest

from pfnlab.cli.board import Board
from pfnlab.cli.checker import Checker, Whole
from pfnlab.cli.runs import Options
from pfnlab.errors import words_of
from pfnlab.explorer.state import BEGINNING
from pfnlab.explorer.totals import Totals
from tests.cli.command import Command

DIVIDES = '''
from pfnlab import scenario
from pfnlab.engine import Shared, word

class Memory(Shared):
    value = word(0)

@scenario
def one(program) -> None:
    """A task does not like what another one writes."""
    memory = Memory()

    def write() -> None:
        memory.value = 1

    def divide() -> None:
        if memory.value:
            raise ValueError("not that")

    program.add_task("writes", write)
    program.add_task("divides", divide)
'''


class Silent(Exception):
    def __str__(self) -> str:
        raise AttributeError


ERROR = "ValueError: not that (in task divides, after "
SCHEDULE = "writes:1,divides:1"


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (KeyError("x"), "KeyError: 'x'"),
        (ValueError(), "ValueError"),
        (ValueError("first\nsecond"), "ValueError: first ..."),
        (Silent(), "Silent: (it cannot say what)"),
    ],
)
def test_any_error_is_one_line(error: Exception, words: str) -> None:
    assert words_of(error) == words


@pytest.fixture
def divides(tmp_path: Path) -> Path:
    path = tmp_path / "divides.py"
    path.write_text(DIVIDES)
    return path


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_other_checks_are_told_first(pfnlab: Command, divides: Path, jobs: str) -> None:
    ran = pfnlab("check", str(divides), "--jobs", jobs)

    assert ran.status == 2
    assert ran.out.count(" error\n") > 10
    assert "checks, 0 schedules: 0 ok (every interleaving), 0 failed, " in ran.out
    assert ran.err.startswith("pfnlab: one on remap_on_fault and ")
    assert ran.err.endswith(f" more checks: {divides}:18: {ERROR}{SCHEDULE})\n")
    assert ran.err.count("\n") == 1


def test_a_single_check_is_one_line(pfnlab: Command, divides: Path) -> None:
    ran = pfnlab("check", "huge_fault", str(divides))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"pfnlab: {divides}:18: {ERROR}{SCHEDULE})\n"


def test_json_has_the_error_of_each_check(pfnlab: Command, divides: Path) -> None:
    ran = pfnlab("check", str(divides), "--json")

    results = json.loads(ran.out)["results"]
    assert {result["verdict"] for result in results} == {"error"}
    assert results[0]["error"] == f"{divides}:18: {ERROR}{SCHEDULE})"


def test_json_of_a_single_check_has_its_error_too(pfnlab: Command, divides: Path) -> None:
    ran = pfnlab("check", "huge_fault", str(divides), "--json")

    assert (ran.status, len(json.loads(ran.out)["results"])) == (2, 1)
    assert ran.err.startswith("pfnlab: one on huge_fault: ")


def begin_design(pfnlab: Command, right: str, wrong: str) -> None:
    """Write mine.py, a design with one thing wrong."""
    pfnlab("new", "design", "mine")
    text = Path("mine.py").read_text()
    assert right in text
    Path("mine.py").write_text(text.replace(right, wrong, 1))


def test_a_design_that_is_wrong_in_one_scenario_is_checked_in_the_others(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_design(pfnlab, "return VM_FAULT_SIGBUS", "return {}['SIGBUS']")
    ran = pfnlab("check", "./mine.py")

    assert ran.status == 2
    counts = re.search(r"checks, .* schedules: (\d+) ok \(.*\), 0 failed, (\d+) errors", ran.out)
    assert counts is not None and all(int(count) > 10 for count in counts.groups())
    assert "  zaps      ERROR 4 of 5 " in ran.out
    assert "            error  zap_vs_fault disable_enable_vs_fault nowait_vs_disable" in ran.out
    assert ": KeyError: 'SIGBUS' (in task vcpu, after config:" in ran.err
    assert ran.err.count("\n") == 1


def test_replay_shows_the_way_to_the_error(pfnlab: Command, divides: Path) -> None:
    ran = pfnlab("replay", "huge_fault", str(divides), SCHEDULE)

    assert ran.status == 2
    assert (
        ran.out
        == """\
one on huge_fault: error

  The code of a task is wrong: it raises an error.
  divides: ValueError: not that

  step  writes                    divides
     1  write  memory1.value = 1                            divides.py:14
     2                            read  memory1.value is 1  divides.py:17
     3                            call  raise ValueError    divides.py:18
                                  ^ error

  race: steps 1 (writes, write) and 2 (divides, read) share no lock: either order can happen
"""
    )


def test_an_error_in_a_part_of_a_check_ends_all_of_it(divides: Path) -> None:
    pair, other = ("huge_fault", str(divides)), ("huge_fault", "first_fault")
    board = Board([pair, other], Checker(Options("dpor", None, None, None, None, None, 0)), 1)
    for _check in board.checks:
        task = board.take()
        assert task is not None
        board.whole(task, Whole(None, Totals(), BEGINNING))
    task = board.take()
    assert task is not None and task.work is not None
    board.slice(task, board.checker.slice(task.pair, task.racing, task.work, task.budget))

    result = board.results()[pair]
    assert result is not None and result.error == f"{divides}:18: {ERROR}{SCHEDULE})"
    task = board.take()
    assert task is not None and task.pair == other


def test_errors_in_scenarios_that_ship_are_one_line_if_they_say_the_same(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    begin_design(pfnlab, "\n    return 0\n", "\n    return -EINVAL\n")
    ran = pfnlab("check", "./mine.py")

    first, *others = ran.err.splitlines()
    assert re.match(r"pfnlab: first_fault on mine and \d\d more checks: ", first)
    assert first.endswith(": mmap of BAR 0, offset 0x0: -EINVAL")
    assert all(": mmap of BAR " in line for line in others) and len(others) < 3


def test_a_check_whose_time_is_over_while_nobody_works_at_it_is_concluded() -> None:
    pair = ("huge_fault", "first_fault")
    options = Options("dpor", None, None, None, 60.0, None, 0)
    board = Board([pair], Checker(options), 1)
    task = board.take()
    assert task is not None
    board.whole(task, Whole(None, Totals(), BEGINNING, seconds=0.0))
    board.checks[0].seconds = 61.0

    assert board.take() is None
    result = board.results()[pair]
    assert result is not None and result.why_incomplete == "stopped after 60 s"
