"""Guests that end as they should not: what they delivered is kept, and nothing is left running."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pfnlab.lab.errors import GuestError
from pfnlab.lab.guest import Guest
from pfnlab.lab.qemu import Machine
from pfnlab.lab.run import Job, do_job

FAKE = Path(__file__).parent / "fake_qemu.py"


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "qemu"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -I {FAKE} "$@"\n', encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def for_each_line(program: str, behaviour: str, lines: list[object], seconds: float = 20) -> None:
    machine = Machine(Path("kernel"), Path("initrd"), append=behaviour)
    with Guest(program, machine, time.monotonic() + seconds) as guest:
        guest.wait_until_ready()
        for line in do_job(Job("some.module"), guest, lambda text: None):
            lines.append(line)


def test_the_lines_of_a_job_come_back(program: str) -> None:
    lines: list[object] = []
    for_each_line(program, "works", lines)

    assert lines == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize(
    ("behaviour", "message"),
    [
        ("fails", "some.module ended with status 3: module some.module"),
        ("crashes", "some.module was killed by signal 11: module some.module"),
        ("killed", "QEMU ended too early (killed by SIGKILL)"),
        ("garbles", "the guest sent b'\\x00\\xff'"),
    ],
)
def test_what_was_delivered_before_a_failure_is_kept(
    program: str, behaviour: str, message: str
) -> None:
    lines: list[object] = []
    with pytest.raises(GuestError) as caught:
        for_each_line(program, behaviour, lines)

    assert str(caught.value) == message
    assert lines == [{"step": 1}, {"step": 2}]
    assert caught.value.console == "Linux version 6.12\n"


def test_a_guest_that_panics_says_so_and_shows_its_console(program: str) -> None:
    with pytest.raises(GuestError) as caught:
        for_each_line(program, "panics", [])

    assert str(caught.value) == "the guest crashed: Kernel panic - not syncing: no init"
    assert "Linux version 6.12" in caught.value.console


def test_qemu_that_does_not_start_says_why(program: str) -> None:
    with pytest.raises(GuestError, match=r"QEMU ended too early \(exit status 1\): .*no such mach"):
        for_each_line(program, "refuses", [])


@pytest.mark.slow
@pytest.mark.parametrize(("behaviour", "count"), [("hangs", 0), ("stuck", 2)])
def test_a_guest_that_takes_too_long_is_ended(program: str, behaviour: str, count: int) -> None:
    lines: list[object] = []
    began = time.monotonic()
    with pytest.raises(GuestError, match="took too long") as caught:
        for_each_line(program, behaviour, lines, seconds=1.5)

    assert len(lines) == count
    assert caught.value.console == "Linux version 6.12\n"
    assert time.monotonic() - began < 10


@pytest.mark.slow
def test_a_silent_guest_by_kvm_is_given_up(program: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pfnlab.lab.guest.SILENCE", 0.1)
    machine = Machine(Path("kernel"), Path("initrd"), accelerator="kvm", append="hangs")
    with Guest(program, machine, time.monotonic() + 20) as guest:
        guest._read_console = lambda: True  # type: ignore[method-assign]
        with pytest.raises(GuestError, match="printed nothing"):
            guest.wait_until_ready()


@pytest.mark.slow
def test_qemu_ends_when_its_parent_is_killed(program: str) -> None:
    code = (
        "import sys, time; from pathlib import Path; from pfnlab.lab.guest import Guest\n"
        "from pfnlab.lab.qemu import Machine\n"
        "machine = Machine(Path('kernel'), Path('initrd'), append='hangs')\n"
        "guest = Guest(sys.argv[1], machine, time.monotonic() + 60).__enter__()\n"
        "print(guest._process.pid, flush=True); time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code, program], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        qemu = int(parent.stdout.readline())
        os.kill(qemu, 0)  # it runs
        parent.send_signal(signal.SIGKILL)
        parent.wait()

    end = time.monotonic() + 10
    while is_running(qemu) and time.monotonic() < end:
        time.sleep(0.01)
    assert not is_running(qemu)


def is_running(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text(encoding="utf-8")
    except FileNotFoundError:
        return False
    return state.rpartition(")")[2].split()[0] != "Z"
