"""Programs without a kernel from the command line: they stand for design and scenario."""

import json
from pathlib import Path

import pytest

from tests.cli.command import Command

FAILS = "./forks.py:everyone_left_first"
HOLDS = "./forks.py:one_right_first"
SCHEDULE = "plato:1,hypatia:1"
FORKS = '''\
from pfnlab import scenario
from pfnlab.engine import Program, Shared, mutex


class Fork(Shared):
    lock = mutex()

    def __init__(self, name):
        self.name = name


def philosopher(first, second):
    def eat():
        with first.lock, second.lock:
            pass

    return eat


@scenario
def everyone_left_first(program: Program) -> None:
    """Each takes the fork on the left first."""
    a, b = Fork("a"), Fork("b")
    program.add_task("plato", philosopher(a, b))
    program.add_task("hypatia", philosopher(b, a))


@scenario
def one_right_first(program: "Program") -> None:
    """Both take the same fork first."""
    a, b = Fork("a"), Fork("b")
    program.add_task("plato", philosopher(a, b))
    program.add_task("hypatia", philosopher(a, b))
'''


@pytest.fixture(autouse=True)
def forks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("forks.py").write_text(FORKS, encoding="utf-8")


def test_a_program_without_a_kernel_is_checked_once_and_without_a_design(pfnlab: Command) -> None:
    ran = pfnlab("check", HOLDS)

    assert ran.status == 0
    assert ran.out == "one_right_first: ok, every interleaving (2 schedules run, at most 8 steps)\n"


def test_its_counterexample_ends_with_a_command_that_shows_it_again(pfnlab: Command) -> None:
    ran = pfnlab("check", FAILS)
    again = pfnlab("replay", FAILS, SCHEDULE)

    assert ran.status == again.status == 1
    assert ran.out.splitlines()[-1] == f"  Replay: pfnlab replay {FAILS} {SCHEDULE}"
    assert ran.out.startswith(again.out.rstrip("\n"))


def test_it_has_no_design_in_json(pfnlab: Command) -> None:
    (result,) = json.loads(pfnlab("check", FAILS, "--json").out)["results"]
    replayed = json.loads(pfnlab("replay", FAILS, SCHEDULE, "--json").out)

    assert (result["design"], result["scenario"]) == (None, "everyone_left_first")
    assert (replayed["design"], replayed["scenario"]) == (None, "everyone_left_first")


def test_it_can_be_saved_and_followed_after_an_edit(pfnlab: Command) -> None:
    saved = pfnlab("check", FAILS, "--save", "saved.json")
    file = Path("forks.py")
    file.write_text(f"# edited\n{FORKS}", encoding="utf-8")
    followed = pfnlab("replay", "saved.json")

    assert saved.out.splitlines()[-1] == "Saved: pfnlab replay saved.json"
    assert followed.status == 1
    assert "  everyone_left_first has changed since" in followed.out
    assert "  no_deadlock still breaks." in followed.out


def test_it_can_be_pasted_as_a_test(pfnlab: Command) -> None:
    text = pfnlab("replay", FAILS, SCHEDULE, "--as-test").out
    pasted: dict[str, object] = {}
    exec(text, pasted)
    test = pasted["test_everyone_left_first_breaks_no_deadlock"]

    assert callable(test)
    test()


def test_its_search_goes_on_from_a_checkpoint(pfnlab: Command) -> None:
    limited = pfnlab("check", HOLDS, "--max-schedules", "1", "--checkpoint", "here.json")
    resumed = pfnlab("check", HOLDS, "--checkpoint", "here.json", "--resume")

    assert limited.status == 3
    assert resumed.status == 0
    assert f"going on with {HOLDS}" in resumed.err


def test_it_has_no_kernel_profile(pfnlab: Command) -> None:
    ran = pfnlab("check", HOLDS, "--kernel", "v6.9")

    assert ran.status == 2
    assert ran.err == "pfnlab: --kernel v6.9: one_right_first has no kernel in it\n"


def test_with_a_design_it_is_checked_on_that_design(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", HOLDS)

    assert ran.status == 1  # lockdep knows the class of both locks
    assert ran.out.startswith("one_right_first on huge_fault: FAIL  lock_order")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ("./forks.py", "./forks.py holds several: say which"),
        ("./nowhere.py", "there is no file ./nowhere.py"),
        ("huge_fault", "replay needs DESIGN SCENARIO SCHEDULE"),
    ],
)
def test_a_replay_of_two_words_that_fits_nothing_is_one_line(
    pfnlab: Command, given: str, said: str
) -> None:
    ran = pfnlab("replay", given, SCHEDULE)

    assert ran.status == 2
    assert ran.err.count("\n") == 1
    assert said in ran.err
