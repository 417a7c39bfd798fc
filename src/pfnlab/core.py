"""Which core runs: the one that mypyc compiled at install time, or the same files interpreted.

The files in CORE are the inner loop of the search.  compile/core.py makes one extension
module of them and puts it in pfnlab/compiled/, where no ordinary import finds it; beside it
is a digest of the sources that it was made from.  It is used if the sources are still those,
and never otherwise.  So an edit takes effect at once, and an old binary cannot hide it.

The results are the same either way.  `python -X pfnlab=interpreted` runs the sources as they
are.  Importing `pfnlab` imports this module before all others; it imports none of them.
Which one it is is decided when a module of the core is first asked for: to look costs 20 ms,
and what has nothing to explore need not pay them.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from functools import cache
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader, ModuleSpec
from importlib.util import spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Final

PACKAGE: Final = Path(__file__).resolve().parent
CORE: Final = (
    "engine/alike.py",
    "engine/label.py",
    "engine/operation.py",
    "engine/store.py",
    "engine/event.py",
    "engine/fire.py",
    "engine/spin.py",
    "engine/task.py",
    "engine/current.py",
    "engine/sights.py",
    "engine/watch.py",
    "engine/step.py",
    "engine/access.py",
    "explorer/trie.py",
    "explorer/dependence.py",
    "explorer/machine.py",
    "explorer/ends.py",
    "explorer/wakeup.py",
    "explorer/swap.py",
    "explorer/races.py",
    "explorer/source.py",
    "explorer/optimal.py",
)
GROUP: Final = "pfnlab_core"
LIBRARY: Final = f"{GROUP}__mypyc"  # the module in which mypyc keeps what it compiled
# One folder for each Python that uses these sources, named as it names extension modules.
FOLDER: Final = PACKAGE / "compiled" / EXTENSION_SUFFIXES[0].strip(".").removesuffix(".so")
ANY: Final = "any"  # the folder of a wheel that has no binary, for every Python
BINARY: Final = "core.so"
RECORD: Final = "core.json"

STALE: Final = "the sources have changed since it was compiled"


def digest(package: Path = PACKAGE) -> str:
    """Of all that the compiled code was made from, or has assumed the types of."""
    paths = {*CORE, *(f"engine/{path.name}" for path in (package / "engine").glob("*.py"))}
    found = hashlib.sha256()
    for path in sorted(paths):
        text = (package / path).read_bytes()
        found.update(f"{path} {len(text)}\n".encode() + text)
    return found.hexdigest()


class Finder:
    """Finds the modules of the core in the binary, before anybody looks for their sources."""

    def __init__(self, binary: Path) -> None:
        self.binary = str(binary)
        self.names = {f"pfnlab.{path.removesuffix('.py').replace('/', '.')}" for path in CORE}

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != LIBRARY and (fullname not in self.names or why_not()):
            return None
        loader = ExtensionFileLoader(fullname, self.binary)
        return spec_from_file_location(fullname, self.binary, loader=loader)


def _record(folder: Path) -> dict[str, str] | None:
    try:
        record: dict[str, str] = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record


def why_interpreted(folder: Path = FOLDER, package: Path = PACKAGE) -> str:
    """Why the binary in a folder cannot be used, or "" if it can."""
    if sys._xoptions.get("pfnlab") == "interpreted":
        return "asked for with -X pfnlab=interpreted"
    record = _record(folder) or _record(folder.parent / ANY)
    if record is None:
        return "not compiled for this Python"
    if record["why_not"]:
        return record["why_not"]
    if record["sources"] != digest(package):
        return STALE
    return "" if (folder / BINARY).is_file() else "the compiled files are gone"


def _tell_nobody(_why: str) -> None:
    """As a library."""


# Is called at once when the sources have changed; the command has its own.
tell: Callable[[str], None] = _tell_nobody


@cache
def why_not() -> str:
    """Why the core of this process is not the compiled one, or "" if it is."""
    why = why_interpreted()
    if not why:
        try:
            __import__(LIBRARY)
        except ImportError as error:
            why = f"the compiled files cannot be loaded: {error}"
    if why == STALE:
        tell(why)
    return why


sys.meta_path.insert(0, Finder(FOLDER / BINARY))


def description() -> str:
    """Which core runs, in words, and why if it is not the compiled one."""
    return f"interpreted core: {why_not()}" if why_not() else "compiled core"
