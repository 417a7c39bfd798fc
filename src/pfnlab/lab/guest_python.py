"""The Python that runs pfnlab, as files of a guest: the interpreter, what is imported, libraries.

A guest sees nothing of the host's file system.  What a job imports must be in the list here, or
be imported by something that is.
"""

import importlib.util
import json
import marshal
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pfnlab.lab.elf import without_debugging
from pfnlab.lab.errors import LabError
from pfnlab.lab.initrd import PROGRAM, Entry

PACKAGE = Path(__file__).resolve().parent.parent
INSIDE = PACKAGE / "lab" / "inside"
# What is imported late, by functions of those that the agent and host/ import, and a little more
# for a job that brings its source.
STANDARD = (
    "base64", "ctypes", "encodings.ascii", "encodings.latin_1", "fcntl", "json", "linecache",
    "lzma", "mmap", "platform", "resource", "runpy", "select", "shutil", "struct", "subprocess",
    "termios", "threading", "traceback", "zlib",
)  # fmt: skip


@dataclass(frozen=True)
class GuestPython:
    """The interpreter, by its path in the guest, and all its files."""

    path: str
    entries: tuple[Entry, ...]


def interpreter() -> Path:
    """The file of the running interpreter; that of a virtual environment is its base."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Path(base).resolve()


def own_files() -> dict[str, Path]:
    """The parts of pfnlab that a guest gets, by their names in it; all but an empty __init__."""
    found = {
        "lab/agent.py": INSIDE / "agent.py",
        "lab/dataclasses.py": INSIDE / "light_dataclasses.py",
    }
    for name in ("workload.py", "measured.py"):
        found[f"lab/pfnlab/{name}"] = PACKAGE / name
    for path in sorted((PACKAGE / "host").rglob("*.py")):
        found[f"lab/pfnlab/{path.relative_to(PACKAGE)}"] = path
    return found


def own_modules() -> list[str]:
    """The names of these modules of pfnlab."""
    names = []
    for path in own_files().values():
        if path.parent != INSIDE:
            parts = path.relative_to(PACKAGE).with_suffix("").parts
            names.append(".".join(("pfnlab", *(part for part in parts if part != "__init__"))))
    return names


def guest_python() -> GuestPython:
    """Find the files of the running interpreter; takes a second.  Raises LabError."""
    python = interpreter()
    command = [str(python), "-I", "-S", str(INSIDE / "imported.py"), str(PACKAGE)]
    done = subprocess.run(
        [*command, *STANDARD, *own_modules()], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise LabError(f"{python} does not import what a guest needs: {_last_line(done.stderr)}")
    found = json.loads(done.stdout)
    paths = {str(python), *found["files"]}
    paths.update(_libraries({path for path in paths if ".so" in path} | {str(python)}))
    # The loader's table of libraries, for those that lie in unusual folders.
    paths.update(path for path in ("/etc/ld.so.cache",) if os.path.exists(path))
    entries = [entry for path in sorted(paths) for entry in _packed(path)]
    entries.append(Entry(_landmark(found["base"])))
    entries.append(Entry("lab/pfnlab/__init__.py"))
    for name, path in own_files().items():
        entries.append(_compiled(name, path.read_bytes()))
    return GuestPython(str(python), tuple(entries))


def _libraries(paths: set[str]) -> set[str]:
    """Shared libraries by the names that the loader looks for, which may be links."""
    done = subprocess.run(["ldd", *sorted(paths)], capture_output=True, text=True, check=False)
    return set(re.findall(r"(/\S+) \(0x", done.stdout))


def _landmark(base: str) -> str:
    """A file in the folder by which the interpreter knows that it has found its own."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"{base}/lib/{version}/lib-dynload/.landmark".lstrip("/")


def _packed(path: str) -> Iterator[Entry]:
    data = Path(path).read_bytes()
    if path.endswith(".py"):
        yield _compiled(path.lstrip("/"), data)
    else:
        yield Entry(path.lstrip("/"), without_debugging(data), PROGRAM)


def _compiled(name: str, data: bytes) -> Entry:
    """The code of a module, where its source would be: a guest neither compiles nor compares."""
    code = compile(data, f"/{name}", "exec", dont_inherit=True, optimize=0)
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")  # PEP 552: unchecked
    return Entry(f"{name}c", head + importlib.util.source_hash(data) + marshal.dumps(code))


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
