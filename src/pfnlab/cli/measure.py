"""pfnlab measure: a workload on a real device of this machine, and what the kernel counted."""

import json
import os
import sys
from typing import Annotated

import typer

import pfnlab
from pfnlab.cli.options import AsJson, Madvise, PlaceOption
from pfnlab.cost.words import make_workload, parse_part
from pfnlab.host.device import VfioDevice
from pfnlab.host.errors import HostError
from pfnlab.host.pci import VFIO_PCI, BarResource, PciDevice, check_free, find_device, group_members
from pfnlab.host.run import run
from pfnlab.measured import MeasuredStep
from pfnlab.report.measured import measured_json, measured_text, plan_text
from pfnlab.workload import Bar, Window, Workload


def measure(
    device: Annotated[
        str, typer.Argument(metavar="BDF", help="A PCI device, as 0000:01:00.0 or 1b36:0005.")
    ],
    bar: Annotated[int | None, typer.Option(help="By default the largest.")] = None,
    offset: Annotated[str, typer.Option(help="Where the mapping begins in the BAR.")] = "0",
    size: Annotated[str | None, typer.Option(help="By default up to the end of the BAR.")] = None,
    place: PlaceOption = "1g",
    madvise: Madvise = None,
    workload: Annotated[
        str, typer.Option(help="Steps with commas, as those of pfnlab cost.")
    ] = "first,touch,zap,touch,munmap",
    unbind: Annotated[
        bool, typer.Option("--unbind", help="Take the device from its driver meanwhile.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be done and changed; do nothing.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Do a workload on a real BAR through VFIO; the device is left as it was found."""
    pci = find_device(device)
    resource = largest_bar(pci) if bar is None else pci.bar(bar)
    window = parse_part(offset, size, resource.size, f"BAR {resource.index}")
    made = make_workload(
        Bar(resource.size, resource.address),
        Window(*window, advice=madvise or "", place=place),
        workload,
    )
    if dry_run and as_json:
        raise HostError("--dry-run prints text, and --json JSON: choose one")
    if dry_run:
        print(plan(pci, made, resource.index, unbind))
        return
    check_allowed(pci, unbind)
    with VfioDevice(pci.bdf, unbind) as opened:
        measured = run(made, opened, resource.index, show_progress)
    if as_json:
        print(json.dumps(measured_json(pfnlab.__version__, measured), indent=2))
    else:
        print(measured_text(measured))


def largest_bar(pci: PciDevice) -> BarResource:
    if not pci.bars:
        raise HostError(f"{pci.bdf} has no memory BAR")
    return max(pci.bars, key=lambda bar: bar.size)


def check_allowed(pci: PciDevice, unbind: bool) -> None:
    """Raise HostError if this user cannot have the device."""
    check_free(pci, unbind)
    if os.geteuid() and pci.driver != VFIO_PCI:
        raise HostError("measure needs root, to give the device to vfio-pci")


def plan(pci: PciDevice, workload: Workload, bar: int, unbind: bool) -> str:
    """The obstacle that a run would meet is part of what a dry run tells."""
    obstacle = ""
    try:
        check_allowed(pci, unbind)
    except HostError as error:
        obstacle = str(error)
    others = [name for name in group_members(pci.group) if name != pci.bdf]
    return plan_text(pci, others, workload, bar, obstacle)


def show_progress(step: MeasuredStep) -> None:
    if sys.stderr.isatty():
        typer.echo(f"done: {step.name}", err=True)
