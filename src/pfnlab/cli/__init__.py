"""cli: the `pfnlab` command.  It parses, calls and prints; one file per command.

Exit status: 0 all hold, 1 a rule broke, 2 wrong use, 3 incomplete.
"""

import io
import os
import signal
import sys
from importlib import import_module
from typing import Annotated, Any

import typer

import pfnlab
from pfnlab import core
from pfnlab.errors import ModelError
from pfnlab.host.errors import HostError
from pfnlab.lab.errors import GuestError, LabError

# The base of all that typer raises for a command line that it cannot make sense of.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]
# What typer makes of Ctrl-C in a command that does not catch it.
INTERRUPTED = 130
# As of a command that SIGPIPE ends: no verdict.
NOBODY_READS = 141

# Where each command is.  It is imported when it is asked for: a check does not wait for the lab.
COMMANDS = {
    "check": "check:check",
    "replay": "replay:replay",
    "cost": "cost:cost",
    "explain": "cost:explain",
    "calibrate": "cost:calibrate",
    "doctor": "doctor:doctor",
    "measure": "measure:measure",
    "lab": "lab_group:lab",
    "compare": "compare:compare_kernel",
    "conform": "conform:conform",
    "list": "designs:list_things",
    "show": "designs:show",
    "new": "designs:new",
}


class Commands(typer.core.TyperGroup):
    """The commands by name, each made of its function, or of its group, when it is looked up."""

    def list_commands(self, _ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, _ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        found = getattr(import_module(f"pfnlab.cli.{module}"), name)
        if not isinstance(found, typer.Typer):
            alone = typer.Typer(add_completion=False, rich_markup_mode=None)
            alone.command(cmd_name)(found)
            return typer.main.get_command(alone)
        group = typer.main.get_group(found)
        group.name = cmd_name
        return group


app = typer.Typer(
    cls=Commands,
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


def run(arguments: list[str]) -> int:
    """Run a command line; return the exit status."""
    try:
        status = app(arguments, standalone_mode=False, prog_name="pfnlab")
        if status == INTERRUPTED:
            raise KeyboardInterrupt
    except GuestError as error:
        from pfnlab.cli.lab import guest_failed

        return guest_failed(error)
    except BrokenPipeError:
        raise
    except (ModelError, HostError, LabError) as error:
        print(f"pfnlab: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"pfnlab: {words_of_system(error)}", file=sys.stderr)
        return 2
    except UsageError as error:
        message = str(getattr(error, "format_message", error.__str__)())
        if not message.startswith("Usage:"):  # help, where a command is missing
            context = getattr(error, "ctx", None)
            command = f"pfnlab {arguments[0]}" if arguments[0] in COMMANDS else "pfnlab"
            if context is not None:
                command = context.command_path
            message = f"pfnlab: {message.rstrip('.')}. See {command} --help."
        print(message, file=sys.stderr)
        return 2
    except (KeyboardInterrupt, typer.Abort):
        print("pfnlab: interrupted", file=sys.stderr)
        return 3
    return int(status or 0)


def words_of_system(error: OSError) -> str:
    """What failed, and why, without its number."""
    why = error.strerror or str(error)
    return why if error.filename is None else f"{error.filename}: {why}"


def _tell_of_core(why: str) -> None:
    print(f"pfnlab: the core runs interpreted: {why}", file=sys.stderr)


def main() -> None:
    """The entry point."""
    core.tell = _tell_of_core
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # the shell has closed it
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_WRONLY), "w"))
        stream = getattr(sys, name)
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # what its encoding lacks
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends a command as Ctrl-C does
    try:
        status = run(sys.argv[1:])
        sys.stdout.flush()
    except (OSError, SystemExit) as error:  # typer makes this of that, if nobody reads
        lost = error if isinstance(error, OSError) else error.__context__
        if not isinstance(lost, OSError):
            raise
        status = output_lost(lost)
    sys.exit(status)


def output_lost(error: OSError) -> int:
    """Nobody reads what is printed, or there is no room for it."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end
    if isinstance(error, BrokenPipeError):
        return NOBODY_READS
    print(f"pfnlab: the output cannot be written: {error.strerror or error}", file=sys.stderr)
    return 2
