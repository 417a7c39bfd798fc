"""pfnlab lab: workloads on real kernels, in guests of QEMU."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

import pfnlab
from pfnlab.cli.options import AsJson, GuestTimeout, Madvise, PlaceOption, Thp
from pfnlab.cli.output import cache_folder
from pfnlab.cost.words import check_pages, make_workload, parse_part, parse_size
from pfnlab.lab.errors import GuestError, LabError
from pfnlab.lab.kernels import KernelImage, find_kernel, kernels_here
from pfnlab.lab.measure import measure
from pfnlab.lab.packages import Available, available_kernels, fetch
from pfnlab.lab.run import TIMEOUT
from pfnlab.measured import Measured, MeasuredStep
from pfnlab.report.kernels import kernels_data, kernels_text
from pfnlab.report.measured import measured_json, measured_text
from pfnlab.workload import PAGE, Bar, Place, Window, Workload

lab = typer.Typer(
    help="Workloads on real kernels, in guests of QEMU.",
    no_args_is_help=True,
    rich_markup_mode=None,
)

CacheFolder = Annotated[
    Path | None, typer.Option("--cache", help="For kernels and snapshots; ~/.cache/pfnlab.")
]
KernelChoice = Annotated[
    str | None,
    typer.Option(
        "--kernel", help="6.12, a release, or a path; by default the newest that is here."
    ),
]


class StatusLine:
    """What goes on, on one line of a terminal; nothing where it is none."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()

    def __call__(self, text: str) -> None:
        if self._shown:
            print(f"\r\x1b[K{text[:100]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        if self._shown:
            print("\r\x1b[K", end="", file=sys.stderr, flush=True)


@lab.command()
def kernels(cache: CacheFolder = None, as_json: AsJson = False) -> None:
    """List the kernels that are here, and those that `pfnlab lab fetch` can get."""
    folder = cache_folder(cache)
    status = StatusLine()
    status("looking for kernels that can be fetched")
    more: list[Available] = []
    why_not = ""
    try:
        more = available_kernels(folder, status)
    except (LabError, OSError) as error:
        why_not = str(error)
    status.clear()
    here = kernels_here(folder)
    if as_json:
        print(json.dumps(kernels_data(pfnlab.__version__, here, more, why_not), indent=2))
    else:
        print(kernels_text(here, more, why_not))


@lab.command("fetch")
def fetch_kernel(
    version: Annotated[str, typer.Argument(help="6.12, 6.12.95 or a whole release.")],
    cache: CacheFolder = None,
) -> None:
    """Fetch the newest kernel of a version into the cache, unless one of it is here.

    Nothing is installed.  A newer one of the same series is fetched by its own version: see
    `pfnlab lab kernels`.
    """
    folder = cache_folder(cache)
    status = StatusLine()
    try:
        here = choose_kernel(version, folder, status)
    finally:
        status.clear()
    print(f"{here.release} is at {here.image}")


@lab.command("run")
def run_workload(
    workload: Annotated[
        str, typer.Argument(help="Steps with commas, as those of pfnlab cost.")
    ] = "first,touch,zap,touch,munmap",
    kernel: KernelChoice = None,
    bar: Annotated[str, typer.Option(help="Size of the BAR, up to 256G.")] = "4G",
    offset: Annotated[str, typer.Option(help="Where the mapping begins in the BAR.")] = "0",
    size: Annotated[str | None, typer.Option(help="By default up to the end of the BAR.")] = None,
    place: PlaceOption = "1g",
    madvise: Madvise = None,
    thp: Thp = "always",
    cpus: Annotated[int, typer.Option(min=1, max=64, help="CPUs of the guest.")] = 1,
    snapshot: Annotated[
        bool, typer.Option(help="Start from a guest that was booted before.")
    ] = True,
    timeout: GuestTimeout = TIMEOUT,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> int:
    """Do a workload on a real kernel, through VFIO, in a guest, and count."""
    made = workload_of(workload, bar, offset, size, place, madvise)
    folder = cache_folder(cache)
    status = StatusLine()
    steps: list[MeasuredStep] = []
    measured = None
    failed: GuestError | None = None
    try:
        chosen = choose_kernel(kernel, folder, status)
        for found in measure(
            made,
            chosen,
            cache=folder,
            thp=thp,
            cpus=cpus,
            use_snapshot=snapshot,
            timeout=timeout,
            tell=status,
        ):
            if isinstance(found, Measured):
                measured = found
            else:
                steps.append(found)
                status(f"done: {found.name}")
    except (GuestError, KeyboardInterrupt) as error:
        if not steps:
            raise
        failed = error if isinstance(error, GuestError) else GuestError("interrupted")
        measured = until_then(made, steps, chosen, thp, str(failed))
    finally:
        status.clear()
    if measured is None:
        raise GuestError("the guest ended without a result")
    if as_json:
        print(json.dumps(measured_json(pfnlab.__version__, measured), indent=2))
    else:
        print(measured_text(measured))
    return 0 if failed is None else guest_failed(failed)


def workload_of(
    words: str, bar: str, offset: str, size: str | None, place: Place, madvise: Madvise
) -> Workload:
    whole = check_pages("bar", parse_size(bar, "bar"), PAGE)
    length, start = parse_part(offset, size, whole)
    return make_workload(
        Bar(whole), Window(length, start, advice=madvise or "", place=place), words
    )


def choose_kernel(wanted: str | None, cache: Path, status: StatusLine) -> KernelImage:
    """What is not here is fetched."""
    if wanted is not None:
        version = without_v(wanted)
        return find_kernel(version, cache) or fetch(version, cache, status)
    here = kernels_here(cache)
    if not here:
        raise LabError("no kernel here: give --kernel, as 6.12, which is fetched then")
    return here[-1]


def without_v(version: str) -> str:
    """v6.12, as profiles of the model are called, is 6.12 here; a path stays as it is."""
    return re.sub(r"^v(?=\d)", "", version)


def until_then(
    workload: Workload, steps: list[MeasuredStep], kernel: KernelImage, thp: Thp, why: str
) -> Measured:
    """What a guest had delivered before it failed."""
    return Measured(
        workload,
        tuple(steps),
        kernel.release,
        "",
        "pci-testdev of QEMU",
        "QEMU",
        True,
        f"{datetime.now(UTC):%Y-%m-%d}",
        thp,
        kernel.version,
        {"the rest": why},
    )


def guest_failed(error: GuestError) -> int:
    """Show how a guest ended; the exit status."""
    if error.console.strip():
        lines = error.console.rstrip().splitlines()[-20:]
        print("The console of the guest:", *lines, sep="\n  ", file=sys.stderr)
    print(f"pfnlab: {error}", file=sys.stderr)
    return 3
