"""python -m pfnlab.host.job [FILE]: run jobs in a guest, one in each line of a file or stdin.

    {"workload": ..., "device": "0000:00:04.0" or "1b36:0005", "bar": 2, "thp": "always"}
    {"jobs": [...], "devices": [...], "leave": true}

workload is that of workload.to_data().  The second form has several jobs, whose "device" may be
a number, counted in "devices".  With "leave" the machine is not needed any more: after the last
job the probes and the binding to vfio-pci are left to it, which takes an emulated guest 0.1 s
to put back.  Each step is one line when it is over, and so is all of a job at
its end; a guest that dies has delivered what it had.

    {"step": ...}   {"measured": ...}   {"error": "..."}
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from functools import partial
from typing import IO, Any

from pfnlab.host.device import VfioDevice
from pfnlab.host.errors import HostError
from pfnlab.host.machine import THP_ENABLED, thp_policy
from pfnlab.host.pci import ROOT, write
from pfnlab.host.run import run
from pfnlab.measured import Measured, MeasuredStep, measured_to_data
from pfnlab.workload import from_data


def main(arguments: list[str]) -> int:
    """The exit status is 2 if a job could not be done to its end."""
    if arguments:
        with open(arguments[0], encoding="utf-8") as file:
            return run_lines(file)
    return run_lines(sys.stdin)


def run_lines(lines: IO[str]) -> int:
    status = 0
    for line in lines:
        if line.strip():
            status = max(status, attempt(partial(run_text, line)))
    return status


def run_text(line: str) -> int:
    """All jobs of one line."""
    asked = json.loads(line)
    devices = asked.get("devices", [])
    jobs = asked.get("jobs", [asked])
    status = 0
    for number, job in enumerate(jobs, 1):
        leave = status if asked.get("leave", False) and number == len(jobs) else None
        status = max(status, attempt(partial(run_job, job, devices, leave)))
    return status


def attempt(what: Callable[[], int]) -> int:
    """Do something, or say why it cannot be done; a job that fails is not in others' way."""
    try:
        return what()
    except (HostError, OSError, KeyError, TypeError, ValueError) as error:
        say({"error": str(error) if isinstance(error, HostError) else repr(error)})
        return 2


def run_job(job: dict[str, Any], devices: Sequence[str], leave: int | None = None) -> int:
    """With `leave` the process ends with this status when it is done, and puts nothing back."""
    workload = from_data(job["workload"])
    device = job["device"]
    name = devices[device] if isinstance(device, int) else device

    def over(measured: Measured) -> None:
        say({"measured": measured_to_data(measured)})
        if leave is not None:
            os._exit(leave)

    with thp_set(job.get("thp")), VfioDevice(name, unbind=True) as opened:
        run(workload, opened, job["bar"], say_step, over)
    return 0


@contextmanager
def thp_set(policy: str | None) -> Iterator[None]:
    """The policy for transparent huge pages, for a while; None leaves it alone."""
    before = thp_policy()
    if policy is None or policy == before:
        yield
        return
    write(ROOT / THP_ENABLED, policy)
    try:
        yield
    finally:
        write(ROOT / THP_ENABLED, before)


def say_step(step: MeasuredStep) -> None:
    say({"step": asdict(step)})


def say(what: dict[str, Any]) -> None:
    print(json.dumps(what), flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
