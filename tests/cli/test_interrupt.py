"""Ctrl-C prints what was found so far and ends with status 3."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pfnlab.catalogue import all_designs, all_scenarios

FOREVER = '''
from pfnlab import scenario
from pfnlab.kernel import *


@scenario
def many_faults(lab):
    """Vcpus that touch more than a search can ever cover."""
    vdev = lab.vfio_device(64 * PAGE_SIZE)
    mapping = lab.mmap(vdev)

    def vcpu():
        for page in range(16):
            lab.touch(mapping, offset=4 * page * PAGE_SIZE)

    def config():
        for _round in range(9):
            lab.write_command(vdev, memory=False)
            lab.write_command(vdev, memory=True)

    for number in range(3):
        lab.add_task(f"vcpu{number}", vcpu)
    lab.add_task("config", config)
'''


@pytest.mark.slow
def test_the_processes_of_a_command_that_is_killed_end_without_a_word() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "pfnlab", "check", "--jobs", "2"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        time.sleep(3)
        process.kill()
        out, err = process.communicate(timeout=60)  # which waits for all who could write

    assert (out, err) == (b"", b"")


def interrupted(*arguments: str, far_enough: str) -> tuple[int, str, str]:
    """Start the command, let it run, send Ctrl-C to it and to its children.

    A busy machine may not have come so far that `far_enough` is printed; then it gets longer.
    """
    for seconds in (2.0, 6.0, 18.0, 54.0):
        status, out, err = interrupted_after(seconds, *arguments)
        if far_enough in out:
            break
    return status, out, err


def interrupted_after(
    seconds: float, *arguments: str, by: signal.Signals = signal.SIGINT
) -> tuple[int, str, str]:
    process = subprocess.Popen(
        [sys.executable, "-c", "from pfnlab.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        time.sleep(seconds)
        assert process.poll() is None, process.communicate()
        os.killpg(process.pid, by)
        out, err = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    return process.returncode, out, err


ENDLESS = '''
from pfnlab import scenario
from pfnlab.kernel import *


@scenario
def endless(lab):
    """A vcpu that computes for ever where memory is off."""
    vdev = lab.vfio_device(PAGE_SIZE)
    mapping = lab.mmap(vdev)

    def vcpu():
        lab.touch(mapping)
        if not vdev.memory_enabled:
            print("for ever", flush=True)
            while True:
                pass

    lab.add_task("config", lambda: lab.write_command(vdev, memory=False))
    lab.add_task("vcpu", vcpu)
'''


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_second_ctrl_c_ends_code_that_does_not(tmp_path: Path, jobs: str) -> None:
    file = tmp_path / "endless.py"
    file.write_text(ENDLESS, encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-c", "from pfnlab.cli import main; main()",
         "check", "huge_fault", str(file), "--jobs", jobs],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stderr is not None
    try:
        assert process.stderr.readline() == "for ever\n"
        os.killpg(process.pid, signal.SIGINT)
        assert process.stderr.readline() == (
            "pfnlab: ending after the execution that runs; Ctrl-C again ends at once\n"
        )
        os.killpg(process.pid, signal.SIGINT)
        out, err = process.communicate(timeout=10)
    finally:
        process.kill()

    assert (process.returncode, out) == (3, "endless on huge_fault: not run\n")
    assert err.startswith("pfnlab: interrupted; --resume goes on from here\n")


@pytest.fixture
def forever(tmp_path: Path) -> str:
    path = tmp_path / "forever.py"
    path.write_text(FOREVER, encoding="utf-8")
    return str(path)


@pytest.mark.slow
def test_ctrl_c_says_how_far_a_search_came(forever: str) -> None:
    status, out, err = interrupted(
        "check", "huge_fault", forever, "--policy", "random", "--max-seconds", "600",
        far_enough=" schedules without",
    )  # fmt: skip

    assert status == 3
    assert out.startswith("many_faults on huge_fault: INCOMPLETE, ")
    assert out.endswith(" schedules without a failure (interrupted, seed 0)\n")
    assert "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_a_batch_system_ends_prints_what_it_found(forever: str, jobs: str) -> None:
    status, out, err = interrupted_after(
        4.0, "check", "huge_fault", forever, "--jobs", jobs, by=signal.SIGTERM
    )

    assert status == 3
    assert out.startswith("many_faults on huge_fault: INCOMPLETE, ")
    assert "Traceback" not in err


@pytest.mark.slow
def test_any_command_that_a_batch_system_ends_says_one_line() -> None:
    words = ("--size", "1G", "--workload", "touch,mremap")
    ended = interrupted_after(4.0, "cost", *words, by=signal.SIGTERM)

    assert ended == (3, "", "pfnlab: interrupted\n")


@pytest.mark.slow
def test_ctrl_c_leaves_valid_json(forever: str) -> None:
    status, out, _err = interrupted(
        "check", "huge_fault", forever, "--json", far_enough="why_incomplete"
    )

    (result,) = json.loads(out)["results"]
    assert status == 3
    assert (result["verdict"], result["why_incomplete"]) == ("incomplete", "interrupted")


@pytest.mark.slow
def test_ctrl_c_prints_the_part_of_a_matrix_that_two_processes_finished(forever: str) -> None:
    status, out, err = interrupted(
        "check", forever, "--jobs", "2", "--rule", "D1", far_enough="not run"
    )

    assert status == 3
    designs = len(all_designs())
    rows = [row.split()[1:] for row in out.splitlines()[1 : designs + 1]]
    begun = rows.count(["?"])  # by the two processes: how far they came is kept
    assert begun <= 2
    assert rows.count(["not", "run"]) == designs - begun
    assert "Traceback" not in err


@pytest.mark.slow
def test_ctrl_c_keeps_the_rows_that_were_finished() -> None:
    status, out, err = interrupted(
        "check", "--jobs", "2", "--policy", "random", "--max-seconds", "3",
        far_enough="\nremap_on_fault\n  R3 ",
    )  # fmt: skip

    assert status == 3
    assert "\nremap_on_fault\n  R3 " in out
    assert "\n  not run  every scenario\n" in out
    assert f"{len(all_designs()) * len(all_scenarios())} checks, " in out
    assert "Traceback" not in err
