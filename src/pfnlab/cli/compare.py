"""pfnlab compare: the same workloads on a real kernel and on the model, side by side."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

import pfnlab
from pfnlab.catalogue import explaining, find_design
from pfnlab.cli.lab import CacheFolder, StatusLine, choose_kernel
from pfnlab.cli.options import AsJson, GuestTimeout
from pfnlab.cli.output import cache_folder, check_place, naming
from pfnlab.engine.errors import ModelError
from pfnlab.fidelity.cases import Case, cases
from pfnlab.fidelity.compare import Comparison, compare
from pfnlab.fidelity.measure import TIMEOUT, measure
from pfnlab.fidelity.saved import Named, load, save
from pfnlab.kernel.profile import find_kernel, profile_for
from pfnlab.report.compare import comparisons_data, comparisons_text, kernels_text


def compare_kernel(
    files: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]...", help="What --save has written, instead of a guest."),
    ] = None,
    kernel: Annotated[
        list[str] | None,
        typer.Option(help="6.12, a release, or a path; repeatable."),
    ] = None,
    design: Annotated[
        str | None, typer.Option(help="By default the one that the kernel's symbols show.")
    ] = None,
    profile: Annotated[
        str | None, typer.Option(help="A kernel profile; by default the one for its version.")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option(help="Only workloads with this in their names; repeatable.")
    ] = None,
    save_to: Annotated[
        Path | None, typer.Option("--save", help="Keep what the kernel did, of one kernel.")
    ] = None,
    timeout: GuestTimeout = TIMEOUT,
    cache: CacheFolder = None,
    as_json: AsJson = False,
) -> int:
    """Count workloads on a real kernel, in a guest, and on the model; show every difference.

    Exit status: 0 all is equal, 1 some count differs.
    """
    if files and kernel:
        raise ModelError("--kernel measures now, and a file was measured before: give one of them")
    if not files and not kernel:
        raise ModelError("say which kernel: --kernel 6.12, or a file that --save has written")
    if save_to is not None and len(kernel or []) != 1:
        raise ModelError("--save keeps one kernel: give one --kernel")
    if save_to is not None:
        check_place(save_to)
    chosen = chosen_cases(case or [])
    found: list[list[Comparison]] = []
    for path in files or []:
        names = {one.name for one in chosen}
        measured = [(name, one) for name, one in load(path) if not case or name in names]
        found.append(compared(measured, design, profile))
    for wanted in kernel or []:
        measured = []
        try:
            measured += measured_on(wanted, chosen, cache_folder(cache), timeout)
        finally:
            if save_to is not None and measured:
                with naming(save_to):
                    save(save_to, measured)
        found.append(compared(measured, design, profile))
    show(found, as_json)
    return int(any(one.differences for comparisons in found for one in comparisons))


def chosen_cases(wanted: Sequence[str]) -> list[Case]:
    found = [one for one in cases() if not wanted or any(text in one.name for text in wanted)]
    if not found:
        names = "; ".join(one.name for one in cases())
        raise ModelError(f"no workload has {wanted[0]!r} in its name; there are: {names}")
    return found


def measured_on(
    wanted: str, chosen: Sequence[Case], cache: Path, timeout: float
) -> Iterator[Named]:
    status = StatusLine()
    try:
        image = choose_kernel(wanted, cache, status)
        done = measure(chosen, image, cache=cache, timeout=timeout, tell=status)
        for one, measured in zip(chosen, done, strict=True):
            yield one.name, measured
    finally:
        status.clear()


def compared(
    measured: Sequence[Named], design: str | None, profile: str | None
) -> list[Comparison]:
    found = []
    for name, one in measured:
        if not (design or one.design):
            raise ModelError(f"the symbols of {one.kernel} show no design: give --design")
        kernel = find_kernel(profile) if profile else profile_for(one.version or one.kernel)
        a_design = find_design(design or one.design)
        with explaining(a_design.files()):
            found.append(compare(name, one, a_design, kernel))
    return found


def show(found: Sequence[Sequence[Comparison]], as_json: bool) -> None:
    found = [comparisons for comparisons in found if comparisons]
    if not found:
        raise ModelError("there is nothing to compare: the file has no workload")
    if as_json:
        data = [comparisons_data(pfnlab.__version__, comparisons) for comparisons in found]
        print(json.dumps(data[0] if len(data) == 1 else data, indent=2))
        return
    print("\n\n".join(comparisons_text(comparisons) for comparisons in found))
    if len(found) > 1:
        print("\n" + kernels_text(found))
