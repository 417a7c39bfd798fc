"""Jobs as lines of JSON, and their results as lines of JSON."""

import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pfnlab.host import job
from pfnlab.host.errors import HostError
from pfnlab.measured import measured_from_data
from pfnlab.workload import Bar, Step, Touch, Window, Workload, to_data
from tests.host.fake_device import FakeDevice, fake_device
from tests.host.trees import put

SIZE = 16 * 4096
WORKLOAD = Workload(Bar(SIZE), (Window(SIZE),), (Step("touch", (Touch(),)),))


@pytest.fixture(autouse=True)
def devices(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """VfioDevice is a fake; which were opened."""
    opened: list[tuple[str, bool]] = []

    @contextmanager
    def open_device(name: str, unbind: bool) -> Iterator[FakeDevice]:
        opened.append((name, unbind))
        if name == "none":
            raise HostError("no PCI device is called 'none'")
        with fake_device(SIZE) as device:
            yield device

    monkeypatch.setattr(job, "VfioDevice", open_device)
    return opened


def line(**changes: Any) -> str:
    return json.dumps({"workload": to_data(WORKLOAD), "device": "1b36:0005", "bar": 2, **changes})


def answers(text: str) -> list[dict[str, Any]]:
    return [json.loads(each) for each in text.splitlines()]


def test_each_step_is_a_line_and_all_of_it_at_the_end(
    devices: list[tuple[str, bool]], capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.run_lines(io.StringIO(line() + "\n\n")) == 0
    first, second, last = answers(capsys.readouterr().out)

    assert devices == [("1b36:0005", True)]
    assert (first["step"]["name"], second["step"]["name"]) == ("map", "touch")
    measured = measured_from_data(last["measured"])
    assert [step.name for step in measured.steps] == ["map", "touch"]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (line(device="none"), "no PCI device is called 'none'"),
        ("{}", "KeyError('workload')"),
        ("no json", "JSONDecodeError"),
        (line(workload={"bar": {}}), "KeyError"),
    ],
)
def test_a_job_that_cannot_be_done_is_an_error_and_the_next_one_is_done(
    text: str, error: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert job.run_lines(io.StringIO(f"{text}\n{line()}\n")) == 2
    first, *others = answers(capsys.readouterr().out)

    assert error in first["error"]
    assert "measured" in others[-1]


def test_jobs_are_read_from_a_file_or_from_stdin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path / "job.json", line())
    assert job.main([str(tmp_path / "job.json")]) == 0
    monkeypatch.setattr("sys.stdin", io.StringIO(line()))
    assert job.main([]) == 0

    assert sum("measured" in each for each in answers(capsys.readouterr().out)) == 2


class Ended(BaseException):
    """Of the process."""


def test_a_machine_that_is_not_needed_any_more_is_left_after_the_last_job_alone(
    devices: list[tuple[str, bool]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def end(status: int) -> None:
        raise Ended(status)

    monkeypatch.setattr("os._exit", end)
    one = json.loads(line(device=0))
    asked = {"jobs": [one, {**one, "device": "none"}, one], "devices": ["first"], "leave": True}
    with pytest.raises(Ended, match="2"):
        job.run_text(json.dumps(asked))

    said = [next(iter(each)) for each in answers(capsys.readouterr().out)]
    assert said == ["step", "step", "measured", "error", "step", "step", "measured"]
    assert [name for name, _unbind in devices] == ["first", "none", "first"]


def test_the_policy_is_set_and_restored(monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[str] = []
    monkeypatch.setattr(job, "thp_policy", lambda: "madvise")
    monkeypatch.setattr(job, "write", lambda _path, text: written.append(text))
    with job.thp_set(None), job.thp_set("madvise"):
        pass
    assert written == []
    with pytest.raises(KeyError), job.thp_set("always"):
        raise KeyError
    assert written == ["always", "madvise"]
