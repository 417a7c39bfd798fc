"""Run a job in a guest with a given kernel: lines of JSON come out as the job prints them.

job = Job("pfnlab.host.job", {...}, (Device("pci-testdev", {"membar": 4 << 30}),))
for line in run(job, kernel, cache=default_cache()):
    ...
"""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from pfnlab.lab.errors import GuestError, LabError
from pfnlab.lab.guest import Guest
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.packed import packed_initrd
from pfnlab.lab.qemu import (
    GIB,
    PORTS,
    PROGRAM,
    Accelerator,
    Device,
    Machine,
    best_accelerator,
    find_qemu,
    fits_later,
    port_address,
)
from pfnlab.lab.snapshot import remove, restore, snapshot
from pfnlab.lab.vmlinux import fastest_image

TIMEOUT = 300.0
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Job:
    """What to run in a guest.

    module     run as `python -m` does, one of pfnlab.host or of the standard library
    arguments  as JSON can hold them; the module reads them from its standard input, on one line,
               with "devices" added: the PCI addresses of `devices`, in their order, and
               "device", the first of them
    devices    plugged in before the job begins; the first may have a BAR of 256 GiB
    source     the text of a module that the guest does not have
    """

    module: str
    arguments: Mapping[str, object] = field(default_factory=dict)
    devices: tuple[Device, ...] = ()
    source: str | None = None


def quiet(text: str) -> None:
    """Tell nobody."""


def run(
    job: Job,
    kernel: KernelImage,
    *,
    cache: Path,
    cpus: int = 1,
    memory: int = GIB,
    append: str = "",
    use_snapshot: bool = True,
    timeout: float = TIMEOUT,
    accelerator: Accelerator | None = None,
    program: str = PROGRAM,
    tell: Tell = quiet,
) -> Iterator[Any]:
    """The lines that the job prints, each parsed as JSON, as they come.

    cache        the folder for what is kept between runs
    memory       of the guest, in bytes
    append       to the command line of the kernel
    timeout      seconds for all of it, from now
    accelerator  by default KVM where it works
    tell         is told what goes on, and what the job prints that is not JSON

    Raises LabError if the lab cannot start, and GuestError, with the console, if the guest hangs,
    crashes or the job fails; the lines before that have been delivered.  Closing the iterator
    ends the guest.
    """
    here = os.uname().machine
    if here != "x86_64":
        raise LabError(f"the lab needs an x86-64 machine, and this is {here}")
    if len(job.devices) > len(PORTS):
        raise LabError(f"{len(job.devices)} devices: a guest has {len(PORTS)} ports")
    found = find_qemu(program)
    deadline = time.monotonic() + timeout
    tell(f"packing {kernel.release}")
    image = fastest_image(kernel.image, cache)
    machine = Machine(
        image,
        packed_initrd(kernel, image, cache),
        accelerator or best_accelerator(),
        cpus,
        memory,
        append,
    )
    folder = cache if use_snapshot else None
    with ExitStack() as stack:
        try:
            guest = stack.enter_context(
                waiting_guest(found, machine, kernel.release, job.devices, folder, deadline, tell)
            )
        except GuestError as error:
            if accelerator is not None or machine.accelerator != "kvm":
                raise
            tell(f"{error}: going on without KVM")
            machine = replace(machine, accelerator="tcg")
            guest = stack.enter_context(
                waiting_guest(found, machine, kernel.release, job.devices, folder, deadline, tell)
            )
        yield from do_job(job, guest, tell)


@contextmanager
def waiting_guest(
    program: str,
    machine: Machine,
    release: str,
    devices: Sequence[Device],
    cache: Path | None,
    deadline: float,
    tell: Tell = quiet,
) -> Iterator[Guest]:
    """A guest whose agent waits: from a snapshot if there is a cache for one, or booted.

    A BAR of 256 GiB has an address only in a guest that boots with it.
    One that boots finds its devices as it does so, which is faster than to find them later.
    """
    with ExitStack() as stack:
        guest = None
        if cache is not None and fits_later(devices):
            tell(f"starting {release} from a snapshot")
            guest = _from_snapshot(stack, program, machine, release, cache, deadline, tell)
        if guest is not None:
            guest.plug(devices)
        else:
            tell(f"booting {release}")
            guest = stack.enter_context(Guest(program, machine, deadline, paused=True))
            guest.plug(devices)  # before the firmware looks for devices
            guest.go_on()
            guest.wait_until_ready()
        yield guest


def _from_snapshot(
    stack: ExitStack,
    program: str,
    machine: Machine,
    release: str,
    cache: Path,
    deadline: float,
    tell: Tell,
) -> Guest | None:
    """None if the snapshot is damaged; it is removed then."""
    with snapshot(program, machine, release, cache, deadline) as folder, ExitStack() as own:
        try:
            guest = own.enter_context(
                Guest(program, machine, deadline, ram=folder / "ram", incoming=True)
            )
            restore(guest, folder)
        except (GuestError, LabError) as error:
            tell(f"the snapshot is damaged and was removed: {error}")
            remove(folder)
            return None
        stack.push(own.pop_all())
        return guest


def do_job(job: Job, guest: Guest, tell: Tell) -> Iterator[Any]:
    """Run a job in a guest that waits for one: see run()."""
    tell("running the job")
    guest.send(
        {
            "module": job.module,
            "source": job.source,
            "arguments": dict(job.arguments),
            "ports": [port_address(number) for number in range(len(job.devices))],
            "time": time.time(),
        }
    )
    last = ""
    while "exit" not in (answer := guest.answer()):
        for text in answer.get("message", "").splitlines():
            last = text
            tell(text)
        for text in answer.get("output", "").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                tell(text)
                continue
            yield line
    status = answer["exit"]
    if status:
        how = f"was killed by signal {-status}" if status < 0 else f"ended with status {status}"
        raise GuestError(f"{job.module} {how}" + (f": {last}" if last else ""), guest.console)
