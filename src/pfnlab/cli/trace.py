"""pfnlab lab trace: record the ordered events of a scenario on a real kernel, in a guest."""

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from pfnlab.cost.request import parse_size
from pfnlab.engine.errors import ModelError
from pfnlab.lab.errors import LabError
from pfnlab.lab.files import default_cache, written
from pfnlab.lab.kernels import find_kernel
from pfnlab.lab.qemu import Device
from pfnlab.lab.run import Job, run

JOB = "pfnlab.host.trace_job"
SMALLEST = 4096


def trace(
    kernel: Annotated[str, typer.Option(help="A version, as 6.12, or a path.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The trace is written there.")],
    scenario: Annotated[
        Literal["one", "race"],
        typer.Option(help="Each thing once; or memory off and on against a thread that touches."),
    ] = "one",
    bar: Annotated[str, typer.Option(help="Size of the BAR, a power of two.")] = "4G",
    place: Annotated[
        Literal["1g", "2m", "4k", "natural"],
        typer.Option(help="How far its address agrees with the physical one; docs/lab.md."),
    ] = "1g",
    flips: Annotated[int, typer.Option(help="Of a race: how often memory goes off.")] = 15,
    cpus: Annotated[int, typer.Option(help="Of the guest.")] = 2,
    timeout: Annotated[float, typer.Option(help="Seconds for all of it.")] = 300,
) -> None:
    """Record what vfio-pci does on a real kernel, for pfnlab conform."""
    size = parse_size(bar, "--bar")
    if size < SMALLEST or size & (size - 1):
        raise ModelError(f"--bar {bar}: the size of a BAR is a power of two, from 4K on")
    if output.exists():
        raise ModelError(f"{output} exists already; it was left alone")
    cache = default_cache()
    image = find_kernel(kernel, cache)
    if image is None:
        raise LabError(f"no kernel {kernel} is here; pfnlab lab kernels says which can be had")
    order = {"scenario": scenario, "bar": 2, "place": place, "flips": flips}
    job = Job(JOB, order, (Device("pci-testdev", {"membar": size}),))
    lines = run(job, image, cache=cache, cpus=cpus, timeout=timeout, tell=_tell)
    events = -1  # the first line is no event
    with written(output) as file:
        for line in lines:
            file.write((json.dumps(line) + "\n").encode())
            events += 1
    print(f"Wrote {events} events to {output}.")


def _tell(text: str) -> None:
    print(f"pfnlab: {text}", file=sys.stderr)
