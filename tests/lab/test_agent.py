"""The agent, without a guest: what it answers to a request."""

import base64
import json
import socket
import zlib
from pathlib import Path
from typing import Any

import pytest

from pfnlab.lab.inside import agent


def run(source: str | None, path: Path, **more: Any) -> list[dict[str, Any]]:
    answers: list[dict[str, Any]] = []
    request = {"module": "job", "source": source, "arguments": {"n": 3}, "ports": [], "time": 5}
    line = json.dumps({**request, **more}).encode() + b"\n"
    agent.run(agent.start(str(path)), line, lambda data: answers.append(dict(data)))
    return answers


def test_a_job_reads_its_arguments_and_its_lines_come_back(tmp_path: Path) -> None:
    source = "import json, sys; a = json.loads(input()); print(a['n']); print(a['devices'])"

    answers = run(source, tmp_path)

    assert "".join(answer.get("output", "") for answer in answers) == "3\n[]\n"
    assert answers[-1] == {"exit": 0}


def test_a_device_is_named_by_the_port_that_it_is_on(tmp_path: Path) -> None:
    device = tmp_path / "0000:00:10.0" / "0000:01:00.0"
    device.mkdir(parents=True)
    (device / "resource0").touch()
    (device.parent / "0000:00:10.0:pcie001").mkdir()

    answers = run("print(input())", tmp_path, ports=["0000:00:10.0"])

    assert json.loads(answers[0]["output"]) == {
        "device": "0000:01:00.0",
        "devices": ["0000:01:00.0"],
        "n": 3,
    }


def test_a_device_that_does_not_come_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    (tmp_path / "0000:00:10.0").mkdir()

    with pytest.raises(LookupError, match="no device below"):
        agent.device_below("0000:00:10.0", str(tmp_path), patience=0.05)


@pytest.mark.parametrize(
    ("source", "status", "message"),
    [
        ("import sys; sys.exit(4)", 4, ""),
        ("import sys; sys.exit('no device')", 1, "no device\n"),
        ("import os; os.kill(os.getpid(), 11)", -11, ""),
        ("import pathlib, sys; raise SystemExit", 0, ""),
    ],
)
def test_the_exit_status_of_a_job_comes_back(
    tmp_path: Path, source: str, status: int, message: str
) -> None:
    answers = run(source, tmp_path)

    assert "".join(answer.get("message", "") for answer in answers) == message
    assert answers[-1] == {"exit": status}


def test_a_job_may_be_a_module_that_is_there(tmp_path: Path) -> None:
    answers = run(None, tmp_path, module="pfnlab.host.job")

    assert "".join(answer.get("output", "") for answer in answers) == (
        """{"error": "KeyError('workload')"}\n"""
    )
    assert answers[-1] == {"exit": 2}


def test_a_job_that_is_not_there_is_told(tmp_path: Path) -> None:
    answers = run(None, tmp_path, module="nothing_like_it")

    text = "".join(answer.get("message", "") for answer in answers)
    assert text.endswith("ModuleNotFoundError: No module named 'nothing_like_it'\n")


def test_an_exception_comes_back_as_a_message(tmp_path: Path) -> None:
    answers = run("1 / 0", tmp_path)

    text = "".join(answer.get("message", "") for answer in answers)
    assert text.endswith("ZeroDivisionError: division by zero\n")
    assert answers[-1] == {"exit": 1}


def test_a_long_answer_is_packed_and_a_short_one_is_not() -> None:
    short, long = json.dumps({"output": "x"}), json.dumps({"output": "x" * 5000})

    assert agent.packed(short) == short
    packed = agent.packed(long)
    assert len(packed) < 200
    assert zlib.decompress(base64.b64decode(json.loads(packed)["packed"])).decode() == long


def test_jobs_are_served_until_nobody_asks_any_more() -> None:
    ours, theirs = socket.socketpair()
    request = {"module": "job", "source": "pass", "arguments": {}, "ports": [], "time": 5.0}
    with ours, theirs:
        ours.sendall(2 * (json.dumps(request).encode() + b"\n"))
        ours.shutdown(socket.SHUT_WR)
        agent.serve(theirs.fileno(), set_clock=print)
        theirs.shutdown(socket.SHUT_WR)
        lines = [json.loads(line) for line in ours.makefile()]

    assert [next(iter(line)) for line in lines] == ["ready", "output", "exit", "output", "exit"]
    assert [line["output"] for line in lines if "output" in line] == ["5.0\n", "5.0\n"]
