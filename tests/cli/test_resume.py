"""A search that was killed goes on from its checkpoint, and ends as if nothing had been."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from pfnlab.catalogue import all_scenarios
from pfnlab.cli.checkpoint import alone
from pfnlab.explorer.walk import walk
from tests.cli.big import BIG, COMMAND
from tests.cli.command import Command

TRACES = 5650  # of big() on huge_fault


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.py"
    path.write_text(BIG, encoding="utf-8")
    return path


def begun(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [*COMMAND, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def schedules_in(checkpoint: Path) -> int:
    if not checkpoint.exists():
        return 0
    (check,) = json.loads(checkpoint.read_text())["checks"]
    return int(check["totals"]["schedules"])


def stopped_at(number: int, schedules: int, checkpoint: Path, *arguments: str) -> tuple[str, str]:
    """Begin a command, and send it a signal once its checkpoint has so many executions."""
    process = begun(*arguments, "--checkpoint", str(checkpoint))
    try:
        while schedules_in(checkpoint) < schedules:
            assert process.poll() is None, process.communicate()
            time.sleep(0.05)
        os.killpg(process.pid, number)
        return process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_search_that_was_killed_twice_counts_as_one_that_was_not(
    big: Path, tmp_path: Path, jobs: str
) -> None:
    file = tmp_path / "checkpoint.json"
    command = ("check", "huge_fault", str(big), "--jobs", jobs)

    stopped_at(signal.SIGKILL, 1, file, *command)
    stopped_at(signal.SIGKILL, 2000, file, *command, "--resume")
    out, err = begun(*command, "--resume", "--json", "--checkpoint", str(file)).communicate()

    (result,) = json.loads(out)["results"]
    assert (result["verdict"], result["complete"]) == ("ok", True), err
    assert (result["schedules"], result["given_up"]) == (TRACES, 0)
    assert not file.exists()


@pytest.mark.slow
def test_ctrl_c_in_two_processes_keeps_what_was_found(big: Path, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.json"

    out, err = stopped_at(signal.SIGINT, 1000, file, "check", "huge_fault", str(big), "--jobs", "2")

    assert out.startswith("big on huge_fault: INCOMPLETE, ")
    assert out.endswith(" schedules without a failure (interrupted)\n")
    assert err == (
        "pfnlab: ending after the execution that runs; Ctrl-C again ends at once\n"
        "pfnlab: interrupted; --resume goes on from here\n"
        "pfnlab: big has no always(): what functions ask for was checked, and no rule about the "
        "state\n"
    )
    assert schedules_in(file) >= 1000


class Late:
    """A clock that is far on from the first random walk on."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.seconds = 0.0
        for module in ("explorer.search", "cli.checker"):
            monkeypatch.setattr(f"pfnlab.{module}.time", self)
        monkeypatch.setattr("pfnlab.explorer.search.walk", self.walk)

    def perf_counter(self) -> float:
        return time.perf_counter() + self.seconds

    def walk(self, *arguments: Any) -> None:
        walk(*arguments)
        self.seconds = 1000.0


@pytest.mark.slow
def test_a_search_that_came_to_its_limit_in_a_random_walk_goes_on(
    pfnlab: Command, big: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ("check", "huge_fault", str(big), "--json", "--jobs", "1")
    where = ("--checkpoint", str(tmp_path / "checkpoint.json"))
    with monkeypatch.context() as patch:
        Late(patch)
        stopped = pfnlab(*command, *where, "--max-seconds", "900")
    ended = pfnlab(*command, *where, "--resume", "--max-seconds", "90000")

    (early,), (late,) = (json.loads(ran.out)["results"] for ran in (stopped, ended))
    assert (early["verdict"], early["why_incomplete"]) == ("incomplete", "stopped after 900 s")
    assert (early["schedules"], early["walks"]) == (200, 1)
    assert (late["verdict"], late["schedules"], late["given_up"]) == ("ok", TRACES, 0)


FAR = '''
from pfnlab import scenario
from pfnlab.engine import Program, Shared, word


class Memory(Shared):
    x = word(0)
    z = word(0)


@scenario
def far(program: Program) -> None:
    """What must be tried comes after two thousand steps."""
    memory = Memory()

    def write() -> None:
        memory.x = 1

    def read() -> None:
        for _ in range(2000):
            memory.z
        memory.x

    for name, function in (("one", write), ("two", write), ("read", read)):
        program.add_task(name, function)
'''


@pytest.fixture
def far(tmp_path: Path) -> str:
    path = tmp_path / "far.py"
    path.write_text(FAR)
    return str(path)


def test_a_search_that_plans_thousands_of_steps_ahead_goes_on_from_where_it_stopped(
    pfnlab: Command, far: str, tmp_path: Path
) -> None:
    command = ("check", "huge_fault", far, "--checkpoint", str(tmp_path / "far.json"))
    stopped = pfnlab(*command, "--max-schedules", "2")
    ended = pfnlab(*command, "--resume", "--max-schedules", "90000", "--jobs", "2")

    assert stopped.status == 3
    assert "INCOMPLETE, 2 schedules without a failure (the limit)" in stopped.out
    assert (ended.status, "ok, every interleaving (6 schedules run" in ended.out) == (0, True)


def test_a_search_that_plans_thousands_of_steps_ahead_is_explored_by_several_processes(
    pfnlab: Command, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pfnlab.cli.jobs.SHARE", 0.0)
    ran = pfnlab("check", "huge_fault", far, "--jobs", "2")

    assert (ran.status, "ok, every interleaving (6 schedules run" in ran.out) == (0, True)


def test_a_search_that_cannot_be_saved_goes_on_to_its_limit_or_its_end(
    pfnlab: Command, far: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def save(_search: object) -> None:
        raise RecursionError

    monkeypatch.setattr("pfnlab.cli.checker.save", save)
    stopped = pfnlab("check", "huge_fault", far, "--max-schedules", "2")
    whole = pfnlab("check", "huge_fault", far)

    assert (stopped.status, stopped.err) == (3, "")
    assert "INCOMPLETE, 2 schedules without a failure (the limit)" in stopped.out
    assert (whole.status, whole.err) == (0, "")
    assert "ok, every interleaving (6 schedules run" in whole.out


@pytest.fixture
def checkpoint(
    pfnlab: Command, impatient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Path:
    """One of a search that Ctrl-C ended at once."""
    file = tmp_path / "checkpoint.json"
    monkeypatch.setattr("pfnlab.cli.jobs.Checkpoint.remove", lambda _self: None)
    pfnlab("check", "huge_fault", "first_fault", "--jobs", "1", "--checkpoint", str(file))
    assert file.exists()
    return file


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A search is in parts at once, and a checkpoint is due after each."""
    monkeypatch.setattr("pfnlab.cli.jobs.SHARE", 0.0)
    monkeypatch.setattr("pfnlab.cli.checkpoint.EVERY", 0.0)


@pytest.mark.usefixtures("impatient")
def test_a_checkpoint_that_cannot_be_written_costs_a_line_and_no_result(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("os.fsync", full)
    file = tmp_path / "checkpoint.json"
    ran = pfnlab("check", "huge_fault", "first_fault", "--jobs", "1", "--checkpoint", str(file))

    assert ran.status == 0
    assert ran.out.startswith("first_fault on huge_fault: ok, ")
    assert ran.err == f"pfnlab: no checkpoint: {file}: No space left on device\n"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("place", "why"),
    [
        (".", "it is a directory"),
        ("none/checkpoint.json", "there is no directory none"),
    ],
)
def test_a_place_where_no_checkpoint_can_be_is_refused_before_the_search(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, why: str
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = pfnlab("check", "huge_fault", "first_fault", "--checkpoint", place)

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"pfnlab: {place} cannot be written: {why}\n"


def test_a_checkpoint_of_another_scenario_is_refused(pfnlab: Command, checkpoint: Path) -> None:
    ran = pfnlab("check", "huge_fault", "two_faults", "--resume", "--checkpoint", str(checkpoint))

    assert ran.status == 2
    assert ran.err == (
        f"pfnlab: {checkpoint} is of huge_fault first_fault, not of what is asked for\n"
    )


def test_a_checkpoint_with_other_options_is_refused(pfnlab: Command, checkpoint: Path) -> None:
    ran = pfnlab(
        "check", "huge_fault", "first_fault", "--rule", "D1", "--resume", "--checkpoint",
        str(checkpoint),
    )  # fmt: skip

    assert (ran.status, ran.err) == (2, f"pfnlab: {checkpoint} was made with other options\n")


TWO_FAULTS = ("check", "huge_fault", "two_faults", "--jobs", "1", "--checkpoint")
LIMIT = "pfnlab: a limit was reached; --resume with a larger one goes on from here\n"


@pytest.mark.parametrize("limit", [("--max-schedules", "5"), ("--max-seconds", "0")])
def test_a_search_that_came_to_a_limit_goes_on_without_it(
    pfnlab: Command, tmp_path: Path, limit: tuple[str, str]
) -> None:
    file = tmp_path / "checkpoint.json"
    stopped = pfnlab(*TWO_FAULTS, str(file), *limit)
    done = schedules_in(file)
    ended = pfnlab(*TWO_FAULTS, str(file), "--resume", "--json")

    assert (stopped.status, stopped.err) == (3, LIMIT)
    assert "INCOMPLETE" in stopped.out
    assert 0 < done < 20
    (result,) = json.loads(ended.out)["results"]
    assert (ended.status, result["complete"], result["schedules"]) == (0, True, 20)
    assert not file.exists()


def test_a_larger_limit_counts_from_the_beginning_of_the_search(
    pfnlab: Command, tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint.json"
    pfnlab(*TWO_FAULTS, str(file), "--max-schedules", "5")

    for arguments, schedules in (
        (("check", "--checkpoint", str(file), "--resume"), 5),
        ((*TWO_FAULTS, str(file), "--resume", "--max-schedules", "8"), 8),
        (("check", "--checkpoint", str(file), "--resume", "--max-schedules", "9"), 9),
    ):
        ran = pfnlab(*arguments)
        assert (ran.status, ran.err.endswith(LIMIT)) == (3, True)
        assert ran.out == (
            f"two_faults on huge_fault: INCOMPLETE, {schedules} schedules without a failure "
            "(the limit)\n"
        )
        assert schedules_in(file) == schedules


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_limit_of_all_schedules_there_are_is_none(pfnlab: Command, jobs: str) -> None:
    limits = [
        pfnlab("check", "huge_fault", "two_faults", "--jobs", jobs, "--max-schedules", most)
        for most in ("19", "20")
    ]

    assert [ran.status for ran in limits] == [3, 0]
    assert [ran.err for ran in limits] == [LIMIT, ""]


def test_a_search_by_chance_has_nothing_to_go_on_with(pfnlab: Command, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.json"
    ran = pfnlab(*TWO_FAULTS, str(file), "--policy", "random", "--max-schedules", "5")

    assert (ran.status, ran.err) == (3, "")
    assert not file.exists()


@pytest.fixture
def own_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a design, and a scenario that imports what its tasks do."""
    own = tmp_path / "own"
    own.mkdir()
    (own / "mine.py").write_text(
        "from dataclasses import replace\nfrom pfnlab.designs import huge_fault\n"
        'design = replace(huge_fault.design, name="mine")\n'
    )
    (own / "what_mine_do.py").write_text("TIMES = 1\n")
    (own / "two.py").write_text("from what_mine_do import TIMES\n" + BIG)
    monkeypatch.syspath_prepend(own)
    monkeypatch.setitem(sys.modules, "what_mine_do", None)  # is taken out again at the end
    monkeypatch.delitem(sys.modules, "what_mine_do")
    monkeypatch.chdir(own)
    return own


@pytest.mark.parametrize("name", ["mine.py", "two.py", "what_mine_do.py"])
def test_a_checkpoint_of_files_that_have_changed_is_refused(
    pfnlab: Command, own_files: Path, tmp_path: Path, name: str
) -> None:
    file = tmp_path / "checkpoint.json"
    command = ("check", "./mine.py", "./two.py", "--checkpoint", str(file), "--max-schedules", "1")
    assert pfnlab(*command).status == 3
    assert pfnlab(*command, "--resume").err.startswith("pfnlab: going on with ./mine.py ./two.py\n")
    with (own_files / name).open("a") as changed:
        changed.write("\n# Another thing.\n")

    ran = pfnlab(*command, "--resume")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        f"pfnlab: {file} does not fit any more, as {name} has changed since: "
        "start anew, without --resume\n"
    )


def test_a_checkpoint_of_files_that_are_elsewhere_is_refused(
    pfnlab: Command, own_files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "checkpoint.json"
    pfnlab("check", "./mine.py", "two_faults", "--checkpoint", str(file), "--max-schedules", "1")
    monkeypatch.chdir(tmp_path)

    ran = pfnlab("check", "--resume", "--checkpoint", str(file))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == f"pfnlab: {file} is of ./mine.py, and there is no such file from here\n"


def test_a_checkpoint_of_other_sources_is_refused(pfnlab: Command, checkpoint: Path) -> None:
    data = json.loads(checkpoint.read_text())
    data["package"] = "0"
    checkpoint.write_text(json.dumps(data))

    ran = pfnlab("check", "--resume", "--checkpoint", str(checkpoint))

    assert (ran.status, ran.err) == (
        2,
        f"pfnlab: {checkpoint} does not fit any more, as pfnlab itself has changed since: "
        "start anew, without --resume\n",
    )


def test_checkpoints_are_kept_for_a_month_in_the_cache(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "pfnlab" / "checkpoints"
    folder.mkdir(parents=True)
    days = 24 * 3600
    for name, age in (("new.json", 29 * days), (".old.json.5", 31 * days), ("old.json", 31 * days)):
        (folder / name).touch()
        os.utime(folder / name, (time.time() - age, time.time() - age))

    stopped = pfnlab("check", "huge_fault", "two_faults", "--jobs", "1", "--max-schedules", "5")
    names = {file.name for file in folder.iterdir()}
    gone_on = pfnlab("check", "--resume", "--jobs", "1", "--max-schedules", "30")

    assert stopped.status == 3
    assert len(names) == 2
    assert "new.json" in names
    assert gone_on.err.splitlines()[0] == "pfnlab: going on with huge_fault two_faults"
    assert [file.name for file in folder.iterdir()] == ["new.json"]


def test_of_several_checks_it_is_told_how_many_are_done(pfnlab: Command, tmp_path: Path) -> None:
    command = ("check", "huge_fault", "--checkpoint", str(tmp_path / "checkpoint.json"))
    pfnlab(*command, "--jobs", "1", "--max-schedules", "3")
    told = pfnlab(*command, "--jobs", "1", "--resume", "--max-schedules", "3").err

    checks = f"{len(all_scenarios())} checks"
    assert re.match(rf"pfnlab: going on with {checks}, of which \d+ are done\n", told)


@pytest.mark.parametrize("part", ["frontier", "totals", "racing", "seconds", "begun"])
def test_a_checkpoint_that_lacks_a_part_is_refused(
    pfnlab: Command, checkpoint: Path, part: str
) -> None:
    data = json.loads(checkpoint.read_text())
    data["checks"][0] |= {"begun": True, "over": False}
    del data["checks"][0][part]
    checkpoint.write_text(json.dumps(data))

    ran = pfnlab("check", "huge_fault", "first_fault", "--resume", "--checkpoint", str(checkpoint))

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.splitlines()[-1] == f"pfnlab: {checkpoint} is no checkpoint of pfnlab check"


def test_a_checkpoint_of_another_pfnlab_is_refused(pfnlab: Command, checkpoint: Path) -> None:
    data = json.loads(checkpoint.read_text())
    data["version"] = "0.0.1"
    checkpoint.write_text(json.dumps(data))

    ran = pfnlab("check", "--resume", "--checkpoint", str(checkpoint))

    assert (ran.status, ran.err) == (
        2,
        f"pfnlab: {checkpoint} is of pfnlab 0.0.1, this is 0.1.0\n",
    )


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", "[" * 100_000, '{"checks": []}', '{"checks": [{"pair": []}]}'],
    ids=lambda text: text[:20],
)
def test_a_file_that_is_no_checkpoint_is_refused(
    pfnlab: Command, tmp_path: Path, text: str
) -> None:
    file = tmp_path / "checkpoint.json"
    file.write_text(text)

    ran = pfnlab("check", "--resume", "--checkpoint", str(file))

    assert (ran.status, ran.err) == (2, f"pfnlab: {file} is no checkpoint of pfnlab check\n")


def test_a_checkpoint_that_is_not_there_is_refused(pfnlab: Command, tmp_path: Path) -> None:
    file = tmp_path / "none.json"

    ran = pfnlab("check", "--resume", "--checkpoint", str(file))

    assert (ran.status, ran.err) == (2, f"pfnlab: there is no checkpoint {file}\n")


def test_a_checkpoint_takes_the_place_of_nothing_else(pfnlab: Command, tmp_path: Path) -> None:
    for text in ("print('mine')\n", '{"mine": 1}'):
        file = tmp_path / "mine.py"
        file.write_text(text)
        ran = pfnlab(*TWO_FAULTS, str(file))

        assert (ran.status, ran.out) == (2, "")
        assert ran.err == f"pfnlab: {file} is no checkpoint of pfnlab check\n"
        assert file.read_text() == text


def test_a_checkpoint_is_of_one_command_at_a_time(pfnlab: Command, tmp_path: Path) -> None:
    file = tmp_path / "checkpoint.json"
    command = ("check", "huge_fault", "first_fault", "--checkpoint", str(file))
    with alone(file):
        refused = pfnlab(*command)

    assert (refused.status, refused.out) == (2, "")
    assert refused.err == (
        f"pfnlab: {file} is the checkpoint of another pfnlab check, which runs now: give each "
        "its own\n"
    )
    assert pfnlab(*command).status == 0


def runs(process: int) -> bool:
    """Also one whose end nobody has waited for is gone."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.slow
def test_processes_do_not_outlive_a_command_that_was_killed(big: Path) -> None:
    with big.open("a") as file:  # so that no check is over soon
        file.write('    lab.add_task("vcpu2", vcpu0)\n    lab.add_task("vcpu3", vcpu1)\n')
    command = [sys.executable, "-m", "pfnlab", "check", str(big), "--jobs", "2"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    children: list[int] = []
    while len(children) < 2:
        assert process.poll() is None
        text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        children = [int(child) for child in text.split()]
        time.sleep(0.02)
    process.kill()
    process.wait()
    deadline = time.monotonic() + 2
    while any(map(runs, children)) and time.monotonic() < deadline:
        time.sleep(0.02)

    assert not any(map(runs, children))
