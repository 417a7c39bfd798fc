"""pfnlab lab trace, with a guest that is made up."""

import json
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from pfnlab.host.events import Event, Run, Trace, from_lines, to_lines
from pfnlab.lab.errors import GuestError
from pfnlab.lab.guest_python import own_modules
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.run import Job
from tests.cli.command import Command

# The package has the function under this name.
COMMAND = import_module("pfnlab.cli.trace")
KERNEL = KernelImage(Path("vmlinuz"), None, "6.12.95-amd64", "6.12.95")
RECORDED = Trace(Run("6.12.95-amd64", "huge_fault"), (Event(1.0, 2, "zap.enter"),))


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Job, dict[str, Any]]]:
    """What guests were asked to do; each answers with the same trace."""
    asked: list[tuple[Job, dict[str, Any]]] = []

    def run(job: Job, kernel: KernelImage, **options: Any) -> Iterator[Any]:
        assert kernel is KERNEL
        asked.append((job, options))
        return map(json.loads, to_lines(RECORDED))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(COMMAND, "run", run)
    monkeypatch.setattr(COMMAND, "choose_kernel", lambda *_arguments: KERNEL)
    return asked


def test_a_trace_is_written_as_the_guest_sends_it(
    pfnlab: Command, jobs: list[tuple[Job, dict[str, Any]]]
) -> None:
    ran = pfnlab("lab", "trace", "-o", "one.jsonl", "--bar", "1G", "--place", "4k")
    (job, options), text = jobs[0], Path("one.jsonl").read_text()

    assert (ran.status, ran.out) == (0, "Wrote 1 events of 6.12.95-amd64 to one.jsonl.\n")
    assert from_lines(text.splitlines()).run == RECORDED.run
    assert job.module == "pfnlab.host.trace_job"
    assert job.arguments == {"scenario": "one", "bar": 2, "place": "4k", "flips": 15}
    assert job.devices[0].properties == {"membar": 1 << 30}
    assert options["cpus"] == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--bar", "3G"], "--bar 3G: the size of a BAR is a power of two"),
        (["--bar", "much"], "bar"),
        (["-o", "there.jsonl"], "there.jsonl exists already; it was left alone"),
        (["--scenario", "two"], "Invalid value for '--scenario'"),
    ],
)
def test_bad_input_is_one_line(
    pfnlab: Command, jobs: list[tuple[Job, dict[str, Any]]], arguments: list[str], message: str
) -> None:
    Path("there.jsonl").write_text("mine")
    ran = pfnlab("lab", "trace", "-o", "one.jsonl", *arguments)

    assert ran.status == 2
    assert ran.err.startswith(f"pfnlab: {message}")
    assert ran.err.count("\n") == 1
    assert jobs == []
    assert Path("there.jsonl").read_text() == "mine"


def test_a_guest_that_crashes_leaves_no_file(
    pfnlab: Command, jobs: list[tuple[Job, dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_arguments: object, **_options: object) -> Iterator[Any]:
        yield json.loads(next(to_lines(RECORDED)))
        raise GuestError("the guest crashed", "Kernel panic")

    monkeypatch.setattr(COMMAND, "run", run)
    ran = pfnlab("lab", "trace", "-o", "one.jsonl")

    assert ran.status == 3
    assert "Kernel panic" in ran.err
    assert not list(Path().iterdir())


def test_the_job_is_a_module_of_the_guest() -> None:
    assert COMMAND.JOB in own_modules()
