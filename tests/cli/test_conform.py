"""pfnlab conform."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.command import Command

Same = Callable[[str, str], None]
TRACES = Path(__file__).parent.parent / "data" / "traces"
ONE = "6.12.95-one.model.jsonl"
RIGHT = ["--design", "huge_fault", "--kernel", "v6.12"]
HEAD = {"trace": 1, "kernel": "6.12.95+deb12-amd64", "design": "huge_fault", "bar_address": 1 << 32}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working directory, with all traces in it."""
    for path in TRACES.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def lines_of(path: Path) -> list[str]:
    return path.read_text(encoding="utf-8").splitlines()


def test_a_trace_that_is_possible_is_told_in_a_few_lines(
    folder: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    ran = pfnlab("conform", ONE, *RIGHT)

    assert ran.status == 0
    same_as_snapshot("conform_possible", ran.out)


def test_the_first_event_that_is_impossible_is_told_with_both_sides(
    folder: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    ran = pfnlab("conform", ONE, "--design", "remap_on_fault", "--kernel", "v6.12")

    assert ran.status == 1
    same_as_snapshot("conform_another_design", ran.out)


def test_the_locks_of_all_tasks_are_told(
    folder: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    lines = lines_of(folder / "6.1.192-one.model.jsonl")
    place = next(i for i, line in enumerate(lines) if '"insert"' in line)
    lines[place] = lines[place].replace("0x100000000", "0x80000000")
    Path("half.jsonl").write_text("\n".join(lines))
    ran = pfnlab("conform", "half.jsonl", "--design", "remap_on_fault", "--kernel", "v6.1.192")

    assert ran.status == 1
    same_as_snapshot("conform_half_a_vma", ran.out)


@pytest.mark.slow
def test_a_thread_that_has_to_wait_is_told_with_who_has_the_lock(
    folder: Path, pfnlab: Command, same_as_snapshot: Same
) -> None:
    lines = lines_of(folder / "6.12.95-race.model.jsonl")
    reader = next(i for i, line in enumerate(lines) if '"contention_end"' in line) + 1
    writer = max(i for i in range(reader) if '"unlock"' in lines[i] and '"w"' in lines[i])
    lines.insert(writer, lines.pop(reader))
    Path("both.jsonl").write_text("\n".join(lines))
    ran = pfnlab("conform", "both.jsonl", *RIGHT)

    assert ran.status == 1
    same_as_snapshot("conform_two_have_a_lock", ran.out)


def test_design_and_kernel_are_those_of_the_trace(folder: Path, pfnlab: Command) -> None:
    Path("new.jsonl").write_text("\n".join([json.dumps(HEAD), *lines_of(folder / ONE)]))
    ran = pfnlab("conform", "new.jsonl")

    assert ran.status == 0
    assert ran.out.startswith("new.jsonl on huge_fault, v6.12: possible\n")


def test_a_kernel_that_no_trace_has_named_is_told_with_its_option(
    folder: Path, pfnlab: Command
) -> None:
    ran = pfnlab("conform", "6.1.192-one.model.jsonl", "--design", "remap_on_fault")

    assert ran.status == 1
    assert ran.err == (
        "pfnlab: 6.1.192-one.model.jsonl does not say which kernel it is of; v6.9 is assumed, that "
        "of remap_on_fault: give --kernel if it was another\n"
    )
    given = ("--design", "remap_on_fault", "--kernel", "v6.1.192")
    assert pfnlab("conform", "6.1.192-one.model.jsonl", *given).err == ""


@pytest.mark.parametrize(
    ("release", "profile"),
    [
        ("6.1.0-56-amd64", "v6.1"),
        ("6.1.192", "v6.1.192"),
        ("6.9.7", "v6.9"),
        ("6.14.0-rc3+", "v6.12"),
        ("4.19.1", "v5.8"),
    ],
)
def test_the_kernel_is_the_newest_that_is_not_newer(
    folder: Path, pfnlab: Command, release: str, profile: str
) -> None:
    head = json.dumps({**HEAD, "kernel": release})
    Path("new.jsonl").write_text("\n".join([head, *lines_of(folder / ONE)]))

    assert f"on huge_fault, {profile}: " in pfnlab("conform", "new.jsonl").out


def test_a_packed_trace_is_read_as_it_is(folder: Path, pfnlab: Command) -> None:
    Path("one.jsonl.gz").write_bytes(gzip.compress((folder / ONE).read_bytes()))

    assert pfnlab("conform", "one.jsonl.gz", *RIGHT).status == 0


def test_one_that_is_impossible_among_several_makes_the_status(
    folder: Path, pfnlab: Command
) -> None:
    ran = pfnlab("conform", ONE, "6.1.192-one.model.jsonl", *RIGHT)

    assert ran.status == 1
    assert ": possible\n" in ran.out
    assert ": IMPOSSIBLE at line 12\n" in ran.out


def test_json_has_the_same(folder: Path, pfnlab: Command) -> None:
    ran = pfnlab("conform", ONE, "7.3.4-one.model.jsonl", "--json", *RIGHT)
    right, wrong = json.loads(ran.out)["results"]

    assert ran.status == 1
    assert (right["verdict"], right["threads"], right["followed"]["insert"]) == ("possible", 2, 3)
    assert "event" not in right
    assert wrong["verdict"] == "impossible"
    assert wrong["event"]["ev"] == "lock.want"
    assert wrong["line"] == 76
    assert [each["does"] for each in wrong["instead"]] == [""]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "there is no file nowhere.jsonl"),
        ([ONE], f"{ONE} does not say which design it is of; give --design"),
        (
            [ONE, "--design", "hugefault"],
            "no design is called 'hugefault'; did you mean",
        ),
        ([ONE, *RIGHT[:3], "v9"], "no profile is called 'v9' (the nearest is v7.3)"),
        (["bad.jsonl", *RIGHT], "bad.jsonl is no trace: line 1 is no event of a trace"),
        (["binary.jsonl", *RIGHT], "binary.jsonl is no trace: it is no text"),
        (["bad.jsonl.gz", *RIGHT], "bad.jsonl.gz is no trace: Not a gzipped file"),
        (["raw.jsonl", *RIGHT], "raw.jsonl is no trace: it has no 'mark'"),
        (["number.jsonl"], "number.jsonl is no trace: line 1 is no event of a trace"),
        (["cut.jsonl.gz", *RIGHT], "cut.jsonl.gz is no trace: "),
        (["odd.jsonl"], "'six' in a trace is no release of a kernel; give --kernel"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, pfnlab: Command, arguments: list[str], message: str
) -> None:
    Path("bad.jsonl").write_text("no\n")
    Path("bad.jsonl.gz").write_text("no\n")
    Path("binary.jsonl").write_bytes(b"\xff\xfe")
    Path("raw.jsonl").write_text('{"t": 1, "tid": 1, "ev": "tracing_mark_write"}\n')
    head = json.dumps({**HEAD, "kernel": "six"})
    Path("odd.jsonl").write_text("\n".join([head, *lines_of(folder / ONE)]))
    Path("number.jsonl").write_text(json.dumps({**HEAD, "kernel": 5}))
    packed = bytearray(gzip.compress(b"{}" * 1000))
    packed[12:20] = bytes(8)
    Path("cut.jsonl.gz").write_bytes(packed)
    ran = pfnlab("conform", *arguments)

    assert ran.status == 2
    assert ran.out == ""
    assert ran.err.startswith(f"pfnlab: {message}")
    assert ran.err.count("\n") == 1
