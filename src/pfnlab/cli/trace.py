"""pfnlab lab trace: record the ordered events of a scenario on a real kernel, in a guest."""

import json
from pathlib import Path
from typing import Annotated, Literal

import typer

from pfnlab.cli.lab import CacheFolder, KernelChoice, StatusLine, choose_kernel
from pfnlab.cli.options import GuestTimeout, PlaceOption
from pfnlab.cli.output import cache_folder, check_new, write_whole
from pfnlab.cost.words import check_pages, parse_size
from pfnlab.errors import ModelError
from pfnlab.lab.errors import GuestError
from pfnlab.lab.qemu import Device
from pfnlab.lab.run import TIMEOUT, Job, run

JOB = "pfnlab.host.trace_job"


def trace(
    output: Annotated[Path, typer.Option("--output", "-o", help="The trace is written there.")],
    kernel: KernelChoice = None,
    scenario: Annotated[
        Literal["one", "race"],
        typer.Option(help="Each thing once; or memory off and on against a thread that touches."),
    ] = "one",
    bar: Annotated[str, typer.Option(help="Size of the BAR, a power of two up to 256G.")] = "4G",
    place: PlaceOption = "1g",
    flips: Annotated[int, typer.Option(min=1, help="How often a race switches memory off.")] = 15,
    cpus: Annotated[int, typer.Option(min=1, max=64, help="CPUs of the guest.")] = 2,
    timeout: GuestTimeout = TIMEOUT,
    cache: CacheFolder = None,
) -> None:
    """Record what vfio-pci does on a real kernel, for pfnlab conform."""
    size = check_pages("bar", parse_size(bar, "bar"), 1)
    if size & (size - 1):
        raise ModelError(f"--bar {bar}: the size of a BAR is a power of two")
    check_new(output)
    folder = cache_folder(cache)
    order = {"scenario": scenario, "bar": 2, "place": place, "flips": flips}
    job = Job(JOB, order, (Device("pci-testdev", {"membar": size}),))
    status = StatusLine()
    try:
        chosen = choose_kernel(kernel, folder, status)
        # The job prints it all at its end.
        lines = list(run(job, chosen, cache=folder, cpus=cpus, timeout=timeout, tell=status))
    finally:
        status.clear()
    if not lines:
        raise GuestError("the guest ended without a trace")
    write_whole(output, "".join(json.dumps(line) + "\n" for line in lines))
    print(f"Wrote {len(lines) - 1} events of {chosen.release} to {output}.")
