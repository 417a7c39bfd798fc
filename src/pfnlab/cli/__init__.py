"""cli: the `pfnlab` command.  It parses, calls and prints; one file per command.

Exit status: 0 all hold, 1 a rule broke, 2 wrong use, 3 incomplete.
"""

import sys
from typing import Annotated

import typer

import pfnlab
from pfnlab import core
from pfnlab.cli.check import check
from pfnlab.cli.compare import compare_kernel
from pfnlab.cli.conform import conform
from pfnlab.cli.cost import calibrate, cost, explain
from pfnlab.cli.designs import list_things, new, show
from pfnlab.cli.doctor import doctor
from pfnlab.cli.lab import guest_failed, lab
from pfnlab.cli.measure import measure
from pfnlab.cli.replay import replay
from pfnlab.cli.trace import trace
from pfnlab.engine.errors import ModelError
from pfnlab.host.errors import HostError
from pfnlab.lab.errors import GuestError, LabError

# The base of all that typer raises for a command line that it cannot make sense of.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# What typer makes of Ctrl-C in a command that does not catch it.
INTERRUPTED = 130

app = typer.Typer(
    name="pfnlab",
    help="Check ways of mapping device memory into user space, in every interleaving.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"pfnlab {pfnlab.__version__} ({core.description()})")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool,
        typer.Option("--version", callback=_print_version, is_eager=True, help="Print it."),
    ] = False,
) -> None:
    """Check ways of mapping device memory into user space, in every interleaving."""


app.command()(check)
app.command()(replay)
app.command()(cost)
app.command()(explain)
app.command()(calibrate)
app.command("compare")(compare_kernel)
app.command()(doctor)
app.command()(measure)
app.command()(conform)
lab.command()(trace)
app.add_typer(lab, name="lab")
app.command("list")(list_things)
app.command()(show)
app.command()(new)


def run(arguments: list[str]) -> int:
    """Run a command line; return the exit status."""
    try:
        status = app(arguments, standalone_mode=False, prog_name="pfnlab")
        if status == INTERRUPTED:
            raise KeyboardInterrupt
    except GuestError as error:
        return guest_failed(error)
    except (ModelError, HostError, LabError, OSError) as error:
        print(f"pfnlab: {error}", file=sys.stderr)
        return 2
    except UsageError as error:
        message = str(getattr(error, "format_message", error.__str__)())
        if arguments:
            message = f"pfnlab: {message.rstrip('.')}. See pfnlab --help."
        print(message, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("pfnlab: interrupted", file=sys.stderr)
        return 3
    return int(status or 0)


def main() -> None:
    """The entry point."""
    if core.WHY_INTERPRETED == core.STALE:
        print(f"pfnlab: the core runs interpreted: {core.STALE}", file=sys.stderr)
    sys.exit(run(sys.argv[1:]))
