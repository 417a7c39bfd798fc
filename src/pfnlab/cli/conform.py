"""pfnlab conform: whether the model can do what a kernel did."""

import gzip
import json
import zlib
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import pfnlab
from pfnlab.catalogue import explaining, find_design
from pfnlab.cli.jobs import tell
from pfnlab.cli.options import AsJson
from pfnlab.cli.runs import progress_line
from pfnlab.errors import UNREADABLE, ModelError, why_unreadable
from pfnlab.fidelity.conform import conform as follow
from pfnlab.host.events import Trace, from_lines
from pfnlab.host.normalise import is_raw, model_events
from pfnlab.kernel.design import Design
from pfnlab.kernel.profile import Kernel, find_kernel, profile_for, version_order
from pfnlab.report.conform import conformity_data, conformity_text
from pfnlab.report.data import SCHEMA


def conform(
    traces: Annotated[list[Path], typer.Argument(help="What `pfnlab lab trace` has recorded.")],
    design: Annotated[
        str | None, typer.Option(help="A name, or ./file.py[:name]; by default the trace's own.")
    ] = None,
    kernel: Annotated[
        str | None, typer.Option(help="A kernel profile, as v6.12; by default the trace's own.")
    ] = None,
    as_json: AsJson = False,
) -> int:
    """Decide whether the model can do what a real kernel did, event by event.

    Exit status 0 if it can, 1 if some trace is impossible, 3 if that could not be decided.
    """
    results = []
    for path in traces:
        trace = load_trace(path)
        a_design = design_of(trace, design, path)
        if trace.run.lost:
            tell(f"{path}: the kernel lost {trace.run.lost} events; what is said is of the others")
        a_kernel = kernel_of(trace, kernel)
        if a_kernel is None:
            a_kernel = find_kernel(a_design.kernel)
            tell(
                f"{path} does not say which kernel it is of; {a_kernel.name} is assumed, that of "
                f"{a_design.name}: give --kernel if it was another"
            )
        with progress_line(len(trace.events)) as show, explaining(a_design.files()):
            found = follow(trace, a_design, a_kernel, tell=partial(show, path.name))
        results.append((str(path), found))
        if not as_json:
            print(conformity_text(*results[-1]))
    if as_json:
        data = [conformity_data(*result) for result in results]
        head = {"schema": SCHEMA, "pfnlab": pfnlab.__version__}
        print(json.dumps({**head, "results": data}, indent=2))
    answers = [found.possible for _path, found in results]
    return 1 if False in answers else 3 if None in answers else 0


def load_trace(path: Path) -> Trace:
    """A trace of events, reduced or as the probes logged them; raises ModelError."""
    if path.is_dir():
        raise ModelError(f"{path} is a directory, not a trace")
    if not path.is_file():
        raise ModelError(f"there is no file {path}")
    try:
        data = path.read_bytes()
        text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode()
        trace = from_lines(text.splitlines())
        if is_raw(trace.events):
            trace = Trace(trace.run, model_events(trace.events))
    except (EOFError, OSError, zlib.error) as error:
        raise ModelError(f"{path} is no trace: {error}") from error
    except UNREADABLE as error:
        raise ModelError(f"{path} is no trace: {why_unreadable(error)}") from error
    if not trace.events:
        raise ModelError(f"{path} is no trace: no event is about a device")
    return trace


def design_of(trace: Trace, name: str | None, path: Path) -> Design:
    if name is None and not trace.run.design:
        raise ModelError(f"{path} does not say which design it is of; give --design")
    return find_design(name or trace.run.design)


def kernel_of(trace: Trace, name: str | None) -> Kernel | None:
    """The profile asked for; or the newest that is not newer than the kernel of the trace."""
    if name is not None:
        return find_kernel(name)
    if not trace.run.kernel:
        return None
    if not version_order(trace.run.kernel):
        raise ModelError(
            f"{trace.run.kernel!r} in a trace is no release of a kernel; give --kernel"
        )
    return profile_for(trace.run.version or trace.run.kernel)
