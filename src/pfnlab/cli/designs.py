"""pfnlab list, show and new: what there is, and how to begin something of one's own."""

import keyword
import textwrap
from pathlib import Path
from typing import Annotated, Literal

import typer

from pfnlab.catalogue import all_designs, all_rules, all_scenarios, find_design, scenario_groups
from pfnlab.cli.output import check_new, write_whole
from pfnlab.designs import huge_fault
from pfnlab.engine.errors import ModelError
from pfnlab.report.layout import line_width


def list_things() -> None:
    """List designs, scenarios and rules."""
    designs = all_designs()
    scenarios = all_scenarios()
    rules = all_rules()
    width = max(len(name) for name in [*designs, *scenarios, *rules])
    print("designs")
    for name, design in designs.items():
        print(entry(f"  {name.ljust(width)}  ", design.kernels).rstrip())
    for group, members in scenario_groups().items():
        print(f"\nscenarios: {group}")
        for name in members:
            print(entry(f"  {name.ljust(width)}  ", scenarios[name].sentence))
    print("\nrules")
    for name, rule in rules.items():
        print(entry(f"  {name.ljust(width)}  {rule.number:4}  ", rule.sentence))


def entry(name: str, sentence: str) -> str:
    """A name and what it means, in lines that fit."""
    return textwrap.fill(
        sentence, line_width(), initial_indent=name, subsequent_indent=" " * len(name)
    )


def show(design: Annotated[str, typer.Argument(help="A name, or ./file.py[:name].")]) -> None:
    """Show a design: what it is, its lock order, the kernels that it lived in."""
    chosen = find_design(design)
    print(chosen.docstring.strip() or f"{chosen.name}: (no docstring)")
    print(f"\nkernels   {chosen.kernels or 'none'}")
    width = max(len(name) for name in chosen.hooks)
    print("hooks")
    for name, hook in chosen.hooks.items():
        print(f"  {name.ljust(width)}  {place_of(hook)}")


def place_of(hook: object) -> str:
    """Where a hook is; map_pages is none, and says only whether there is one."""
    code = getattr(hook, "__code__", None)
    if code is not None:
        return f"{Path(code.co_filename).name}:{code.co_firstlineno}"
    return "yes" if hook else "none"


def new(
    what: Annotated[Literal["design"], typer.Argument(metavar="design", help="What to begin.")],
    name: Annotated[str, typer.Argument(help="Its name; the file is NAME.py.")],
) -> None:
    """Write a file to start from: huge_fault under another name."""
    if keyword.iskeyword(name):
        raise ModelError(f"{name!r} cannot be a name: it is a word of Python")
    if not name.isidentifier():
        raise ModelError(f"{name!r} cannot be a name; use letters, digits and _")
    path = Path(f"{name}.py")
    if name in all_designs():
        raise ModelError(f"{name} is a design that ships with pfnlab; choose another name")
    check_new(path)
    write_whole(path, starting_text(name))
    print(f"Wrote {path}. Change it, then: pfnlab check ./{path}")


def starting_text(name: str) -> str:
    """The source of huge_fault with another name and a docstring to fill in."""
    source = Path(huge_fault.__file__).read_text(encoding="utf-8")
    _docstring, quotes, code = source.removeprefix('"""').partition('"""')
    docstring = (
        f"{name}: one sentence on what the fault handler does.\n\n"
        "Begun as huge_fault.  Say what is different, and why.\n\n"
        "    mmap_lock  >  memory_lock  >  i_mmap_rwsem\n"
    )
    code = code.replace('name="huge_fault"', f'name="{name}"')
    history = ("kernels=", "profiles=", "year=")
    lines = [line for line in code.splitlines() if not line.strip().startswith(history)]
    return f'"""{docstring}{quotes}' + "\n".join(lines) + "\n"
