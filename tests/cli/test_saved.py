"""Counterexamples that are saved, and followed after the design was edited."""

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pfnlab import BadSchedule
from tests.cli.command import Command, Ran

SAVE = ["check", "./mine.py", "zap_vs_fault", "--jobs", "1", "--save", "saved.json"]
WRONG = """    zap_bars(vdev)
    down_write(vdev.memory_lock)
"""
RIGHT = """    down_write(vdev.memory_lock)
    zap_bars(vdev)
"""


def edit(old: str, new: str) -> None:
    text = Path("mine.py").read_text(encoding="utf-8")
    assert old in text
    Path("mine.py").write_text(text.replace(old, new, 1), encoding="utf-8")


@pytest.fixture
def saved(pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ran:
    """A design whose zap comes before the lock, with its counterexample in saved.json."""
    monkeypatch.chdir(tmp_path)
    pfnlab("new", "design", "mine")
    edit(RIGHT, WRONG)
    return pfnlab(*SAVE)


def test_check_says_how_to_follow_what_it_has_saved(saved: Ran) -> None:
    assert saved.status == 1
    assert saved.out.splitlines()[-1] == "Saved: pfnlab replay saved.json"


def test_a_saved_counterexample_is_that_of_the_schedule(pfnlab: Command, saved: Ran) -> None:
    data = json.loads(Path("saved.json").read_text(encoding="utf-8"))
    by_schedule = pfnlab("replay", "./mine.py", "zap_vs_fault", data["schedule"])
    by_file = pfnlab("replay", "saved.json")

    assert (by_file.status, by_file.out) == (1, by_schedule.out)
    assert saved.out.startswith(by_file.out.rstrip("\n"))


def test_an_edit_of_what_a_file_imports_from_beside_it_is_told(
    pfnlab: Command, saved: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path.cwd())
    monkeypatch.setitem(sys.modules, "sizes_of_mine", None)  # is taken out again at the end
    monkeypatch.delitem(sys.modules, "sizes_of_mine")
    Path("sizes_of_mine.py").write_text("SIZE = 1\n", encoding="utf-8")
    edit("from pfnlab.kernel", "import sizes_of_mine\nfrom pfnlab.kernel")
    pfnlab(*SAVE)
    told = "mine has changed since the counterexample was saved."

    assert told not in pfnlab("replay", "saved.json").out
    Path("sizes_of_mine.py").write_text("SIZE = 2\n", encoding="utf-8")
    assert told in pfnlab("replay", "saved.json").out


def test_after_an_edit_it_is_followed_as_far_as_it_fits(
    pfnlab: Command, saved: Ran, same_as_snapshot: Callable[[str, str], None]
) -> None:
    edit(
        "    with vdev.memory_lock.read():\n",
        "    with vdev.memory_lock.read():\n        pass\n    with vdev.memory_lock.read():\n",
    )
    ran = pfnlab("replay", "saved.json")

    assert ran.status == 1
    same_as_snapshot("replay_saved_that_parts", ran.out)


def test_where_the_failure_is_mended_no_rule_breaks(
    pfnlab: Command, saved: Ran, same_as_snapshot: Callable[[str, str], None]
) -> None:
    edit(WRONG, RIGHT)
    ran = pfnlab("replay", "saved.json")

    assert ran.status == 0
    same_as_snapshot("replay_saved_that_is_mended", ran.out)


def test_json_has_where_it_parted(pfnlab: Command, saved: Ran) -> None:
    edit(WRONG, RIGHT)
    data = json.loads(pfnlab("replay", "saved.json", "--json").out)

    assert data["finding"] is None
    assert data["changed"] == ["mine"]
    assert data["partings"][0].startswith("step 1: recorded `down_read vdev.mapping.i_mmap_rwsem`")


def test_a_counterexample_as_a_test_runs_and_passes(
    pfnlab: Command, saved: Ran, same_as_snapshot: Callable[[str, str], None]
) -> None:
    ran = pfnlab("replay", "saved.json", "--as-test")

    assert ran.status == 0
    same_as_snapshot("replay_as_test", ran.out)
    names: dict[str, Callable[[], None]] = {}
    exec(ran.out, names)
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 1
    tests[0]()

    edit(WRONG, RIGHT)
    with pytest.raises(BadSchedule):
        tests[0]()


@pytest.mark.parametrize("schedule", ["config:4,vcpu:9,config:2", "vcpu:3"])
def test_a_schedule_as_a_test_runs_and_passes(pfnlab: Command, saved: Ran, schedule: str) -> None:
    rules = ["--kernel", "v6.9", "--rule", "D1", "--rule", "R3"]
    ran = pfnlab("replay", "./mine.py", "zap_vs_fault", schedule, *rules, "--as-test")

    names: dict[str, Callable[[], None]] = {}
    exec(ran.out, names)
    (test,) = [value for name, value in names.items() if name.startswith("test_")]
    test()


@pytest.mark.parametrize("part", ["rules", "runs"])
def test_a_counterexample_that_could_break_nothing_is_refused(
    pfnlab: Command, saved: Ran, part: str
) -> None:
    data = json.loads(Path("saved.json").read_text(encoding="utf-8"))
    Path("saved.json").write_text(json.dumps(data | {part: []}), encoding="utf-8")

    ran = pfnlab("replay", "saved.json")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err == (
        f"pfnlab: saved.json is damaged: {part} must not be empty: no rule could break\n"
    )


def test_nothing_is_saved_where_nothing_broke(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    ran = pfnlab("check", "huge_fault", "first_fault", "--save", "saved.json")

    assert ran.status == 0
    assert ran.out.endswith("No rule broke: saved.json was not written.\n")
    assert not Path("saved.json").exists()


def damage(change: Callable[[dict[str, object]], object]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = json.loads(path.read_text(encoding="utf-8"))
        change(data)
        path.write_text(json.dumps(data), encoding="utf-8")

    return write


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda path: path.unlink(), "there is no file saved.json"),
    "empty": (
        lambda path: path.write_text(""),
        "saved.json is no saved counterexample: it is no JSON "
        "(Expecting value: line 1 column 1 (char 0))",
    ),
    "binary": (
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        "saved.json is no saved counterexample: it is no text",
    ),
    "other": (
        lambda path: path.write_text("[1]"),
        "saved.json is no saved counterexample; pfnlab check --save writes one",
    ),
    "newer": (
        damage(lambda data: data.update(schema=9, pfnlab="9.0")),
        "saved.json has schema 9, and pfnlab reads 1; it was written by pfnlab 9.0",
    ),
    "incomplete": (
        damage(lambda data: data.pop("runs")),
        "saved.json is incomplete: it has no 'runs'",
    ),
    "damaged": (
        damage(lambda data: data.update(rule=7)),
        "saved.json is damaged: rule must be a text, and is 7",
    ),
    "steps": (
        damage(lambda data: data.update(runs=[[3]])),
        "saved.json is damaged: a step must be an object, and is 3",
    ),
    "runs": (
        damage(lambda data: data.update(runs={})),
        "saved.json is damaged: runs must be a list, and is {}",
    ),
    "design": (
        damage(lambda data: data.update(design=None)),
        "saved.json is damaged: design must be an object, and is None",
    ),
    "scenario": (
        damage(lambda data: data["scenario"].update(spec="nosuch")),  # type: ignore[attr-defined]
        "no scenario is called 'nosuch'; pfnlab list shows all there are, "
        "or give a file: ./nosuch.py",
    ),
    "rules": (
        damage(lambda data: data.update(rules=["nosuch"])),
        "no rule is called 'nosuch'; pfnlab list shows all there are",
    ),
    "kernel": (damage(lambda data: data.update(kernel="v1.0")), ""),
}


@pytest.mark.usefixtures("saved")
@pytest.mark.parametrize("how", BAD)
def test_a_bad_file_is_one_line(pfnlab: Command, how: str) -> None:
    break_it, complaint = BAD[how]
    break_it(Path("saved.json"))

    ran = pfnlab("replay", "saved.json")

    assert (ran.status, ran.out) == (2, "")
    assert ran.err.startswith(f"pfnlab: {complaint}")
    assert ran.err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (
            ["replay", "huge_fault"],
            "replay needs DESIGN SCENARIO SCHEDULE, FILE.py SCHEDULE of a program without a "
            "kernel, or FILE.json that check --save has written",
        ),
        (
            ["check", "huge_fault", "first_fault", "--save", "saved.txt"],
            "--save saved.txt: pfnlab replay knows the file by its name, NAME.json",
        ),
        (
            ["check", "remap_on_fault", "first_fault", "--save", "nowhere/saved.json"],
            "nowhere/saved.json cannot be written: there is no directory nowhere",
        ),
    ],
)
def test_wrong_use_is_one_line(pfnlab: Command, arguments: list[str], complaint: str) -> None:
    ran = pfnlab(*arguments)

    assert (ran.status, ran.err) == (2, f"pfnlab: {complaint}\n")
