"""Finding designs and scenarios: by name, or in a file of the user's.

huge_fault              a design or scenario that ships with pfnlab
./mine.py               the one in that file
./mine.py:zap_twice     one of several in that file
"""

import difflib
import importlib
import importlib.util
import os
import pkgutil
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, redirect_stdout
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Final, TypeVar

from pfnlab import designs, scenarios
from pfnlab.engine.deadlock import ENDS, NO_DEADLOCK, NO_LIVELOCK
from pfnlab.engine.errors import ModelError
from pfnlab.engine.lock import LOCK_BALANCE
from pfnlab.engine.program import Invariant, Program, Rule, Scenario
from pfnlab.engine.raised import ASSERTION
from pfnlab.engine.step import NO_DATA_RACE, NO_SLEEP_UNDER_SPINLOCK, NO_USE_AFTER_FREE
from pfnlab.errors import words_of
from pfnlab.kernel.design import Design
from pfnlab.kernel.profile import Kernel
from pfnlab.kernel.rule import CONTRACTS, LeafRule
from pfnlab.rules import RULES

T = TypeVar("T", Design, Scenario)


# Rules that any program must keep, kernel or not.
ENGINE_RULES = (
    NO_DATA_RACE, NO_USE_AFTER_FREE, NO_DEADLOCK, NO_LIVELOCK, ENDS, LOCK_BALANCE,
    NO_SLEEP_UNDER_SPINLOCK, ASSERTION,
)  # fmt: skip


NO_DESIGN: Final = ""  # names none: a program without a kernel has none


class NotFound(ModelError):
    """No such design, scenario or rule; the message says which there are."""


class NotHere(NotFound):
    """A file has nothing of the kind."""


@cache
def all_designs() -> dict[str, Design]:
    """Designs that ship, by name, in the order in which they were proposed."""
    found: dict[str, Design] = {}
    for module in _modules(designs):
        found |= {design.name: design for design in _things(module, Design)}
    return dict(sorted(found.items(), key=lambda item: (item[1].year, item[0])))


def design_of(kernel: Kernel) -> Design | None:
    """The one that kernels of a profile had; None if no design that ships says so."""
    return next((each for each in all_designs().values() if kernel.name in each.profiles), None)


def ships(design: Design) -> bool:
    """Whether it is pfnlab's own."""
    return all_designs().get(design.name) is design


def never_had(kernel: Kernel, design: Design) -> str:
    """That no kernel of a profile had a design, in one line; "" if one had, or none ever had it."""
    own = design_of(kernel)
    if not ships(design) or not design.profiles or kernel.name in design.profiles or own is None:
        return ""
    return f"{kernel.name} never had {design.name} ({design.kernels}); its own is {own.name}"


@cache
def all_scenarios() -> dict[str, Scenario]:
    """Scenarios that ship, by name, the simplest first."""
    return {
        scenario.name: scenario
        for module in _scenario_modules()
        for scenario in _things(module, Scenario)
    }


def scenario_groups() -> dict[str, list[str]]:
    """The names of all_scenarios() by subject: the module, or the tuple in it that has them."""
    groups: dict[str, list[str]] = {}
    for module in _scenario_modules():
        subject = module.__name__.rpartition(".")[2]
        for attribute, value in vars(module).items():
            members = value if isinstance(value, tuple) else (value,)
            group = attribute.lower() if isinstance(value, tuple) else subject
            names = [member.name for member in members if isinstance(member, Scenario)]
            if names:
                groups.setdefault(group, []).extend(names)
    return groups


def _scenario_modules() -> list[ModuleType]:
    return [importlib.import_module(f"{scenarios.__name__}.{name}") for name in scenarios.MODULES]


def all_rules() -> dict[str, Rule]:
    """Rules that ship, by name: of states and leaves, of functions, of the engine."""
    rules = {rule.rule.name: rule.rule for rule in RULES}
    return rules | CONTRACTS | {rule.name: rule for rule in ENGINE_RULES}


def check_rule_names(names: Iterable[str], scenarios: Iterable[str]) -> None:
    """Raise NotFound for what is no name or number of a rule.

    A rule may also be in the file of a scenario.
    """
    rules = all_rules()
    for path in (path_and_name(spec)[0] for spec in scenarios if is_path(spec)):
        things = vars(load(path)).values()
        rules |= {t.rule.name: t.rule for t in things if isinstance(t, Invariant | LeafRule)}
    known = set(rules) | {rule.number for rule in rules.values() if rule.number}
    for name in names:
        if name not in known:
            near = near_rule(name, known)
            hint = f"did you mean {near}? " if near else ""
            raise NotFound(f"no rule is called {name!r}; {hint}pfnlab list shows all there are")


def near_rule(name: str, known: set[str]) -> str:
    """The name or number that was meant, whatever its case; "" if none is like it."""
    same = [each for each in known if each.lower() == name.lower()]
    return (same or difflib.get_close_matches(name, known, 1) or [""])[0]


def find_design(spec: str) -> Design:
    """The design that a command line names; raises NotFound or ModelError."""
    return _find(spec, Design, all_designs(), "design")


def find_scenario(spec: str) -> Scenario:
    """The scenario that a command line names; raises NotFound or ModelError."""
    return _find(spec, Scenario, all_scenarios(), "scenario")


def find_pair(design: str, scenario: str) -> tuple[Design | None, Scenario]:
    """Both; None for a program that has no design."""
    return find_design(design) if design != NO_DESIGN else None, find_scenario(scenario)


def is_path(spec: str) -> bool:
    return "/" in spec or spec == "." or path_and_name(spec)[0].endswith(".py")


def path_and_name(spec: str) -> tuple[str, str]:
    """./mine.py:zap_twice in its parts; a file may have a colon in its name."""
    path, _colon, name = spec.rpartition(":")
    return (path, name) if path and not Path(spec).is_file() else (spec, "")


def _modules(package: ModuleType) -> list[ModuleType]:
    return [
        importlib.import_module(f"{package.__name__}.{info.name}")
        for info in pkgutil.iter_modules(package.__path__)
    ]


def _things(module: ModuleType, kind: type[T]) -> list[T]:
    """What a module has of a kind: by itself, or in a tuple."""
    found: list[T] = []
    for value in vars(module).values():
        members = value if isinstance(value, tuple) else (value,)
        found += [member for member in members if isinstance(member, kind)]
    return found


def _find(spec: str, kind: type[T], known: dict[str, T], what: str) -> T:
    if not spec:
        raise NotFound(f"the name of a {what} is empty; pfnlab list shows all there are")
    if not is_path(spec):
        if spec in known:
            return known[spec]
        near = difflib.get_close_matches(spec, known, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise NotFound(
            f"no {what} is called {spec!r}; {hint}pfnlab list shows all there are, "
            f"or give a file: ./{spec}.py"
        )
    path, name = path_and_name(spec)
    things = _things(load(path), kind)
    shipped = set(map(id, known.values()))  # imported, to make another from it
    own = [thing for thing in things if id(thing) not in shipped]
    found = {thing.name: thing for thing in own or things}
    if not found:
        example = "design = Design(...)" if kind is Design else "a function marked @scenario"
        raise NotHere(f"{path} holds no {what}; it needs {example}")
    if name:
        if name not in found:
            raise NotFound(f"{path} holds no {what} {name!r}; there is {', '.join(found)}")
        return found[name]
    if len(found) > 1:
        raise NotFound(f"{path} holds several: say which, as in {path}:{next(iter(found))}")
    return next(iter(found.values()))


_read: dict[str, ModuleType] | None = None  # files by path, while each is read once


@contextmanager
def read_once() -> Iterator[None]:
    """In the block, and in processes that begin there, a file is read once.

    Else an edit in the middle of a command would mix two programs in one verdict.  Outside of
    it a file is read whenever something in it is looked for.
    """
    global _read
    before, _read = _read, {} if _read is None else _read
    try:
        yield
    finally:
        _read = before


def load(path: str) -> ModuleType:
    """Run a file of the user's; any error in it becomes one line with its place."""
    if _read is None:
        return _load(path)
    if path not in _read:
        _read[path] = _load(path)
    return _read[path]


def _load(path: str) -> ModuleType:
    file = Path(path)
    if file.is_dir():
        raise NotFound(f"{path} is a directory, not a Python file")
    if not file.exists():
        raise NotFound(f"there is no file {path}")
    if not file.is_file():
        raise NotFound(f"{path} is no regular file")
    if not os.access(file, os.R_OK):
        raise NotFound(f"{path} cannot be read: permission denied")
    spec = importlib.util.spec_from_file_location(file.stem, file)
    if spec is None or spec.loader is None:
        raise NotFound(f"{path} is no Python file")
    module = importlib.util.module_from_spec(spec)
    folder = str(file.resolve().parent)
    if folder not in sys.path:
        sys.path.append(folder)  # it may import what is beside it, but hides nothing
    try:
        with redirect_stdout(sys.stderr):
            spec.loader.exec_module(module)
    except SyntaxError as error:
        raise ModelError(f"syntax error: {error.msg}", f"{path}:{error.lineno or 1}") from error
    except (Exception, SystemExit) as error:
        raise explained(error, {str(file), str(file.resolve())}) from error
    return module


@contextmanager
def explaining(files: set[str]) -> Iterator[None]:
    """What the user's code does wrong in the block is one line with its place.

    What it prints goes to standard error: the other one is for what was found.
    """
    try:
        with redirect_stdout(sys.stderr):
            yield
    except Exception as error:
        told = explained(error, files)
        raise told from (error if told is not error else error.__cause__)


def explained(error: BaseException, files: set[str]) -> ModelError:
    """Any error as a ModelError, with the line of the user's file that led to it."""
    frames = traceback.extract_tb(error.__traceback__)
    mine = [frame for frame in frames if frame.filename in files]
    frame = (mine or frames)[-1]
    place = f"{frame.filename}:{frame.lineno}"
    notes = getattr(error, "__notes__", [])  # in which task, and after which schedule
    more = f" ({', '.join(map(str, notes))})" if notes else ""
    if isinstance(error, AttributeError) and type(error.obj) is Program:
        more += "; a program without a design has no kernel: give one"
    if isinstance(error, ModelError):
        error.place = error.place or (place if mine else "")
        if len(notes) > 1:  # most are wrong in every schedule
            error.message += more
        error.__notes__ = []
        return error
    return ModelError(f"{words_of(error)}{more}", place)
