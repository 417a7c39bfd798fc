"""The Python that runs pfnlab, as files of a guest: the interpreter, what is imported, libraries.

A guest sees nothing of the host's file system.  What a job imports must be in the list here, or
be imported by something that is.
"""

import functools
import importlib.util
import json
import marshal
import os
import re
import subprocess
import sys
from pathlib import Path

from pfnlab.lab.elf import without_debugging
from pfnlab.lab.errors import LabError
from pfnlab.lab.initrd import LINK, PROGRAM, Entry
from pfnlab.lab.inside.light_functools import WHOLE

PACKAGE = Path(__file__).resolve().parent.parent
INSIDE = PACKAGE / "lab" / "inside"
# What is imported late, by functions of those that the agent and host/ import, and a little more
# for a job that brings its source.
STANDARD = (
    "base64", "ctypes", "encodings.ascii", "encodings.latin_1", "fcntl", "importlib.util", "json",
    "linecache", "lzma", "mmap", "platform", "resource", "select", "shutil", "struct", "subprocess",
    "termios", "threading", "traceback", "zlib",
)  # fmt: skip
EMPTY_PACKAGE = (True, marshal.dumps(compile("", "empty", "exec")))


def interpreter() -> Path:
    """The file of the running interpreter; that of a virtual environment is its base."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    return Path(base).resolve()


def own_modules() -> dict[str, Path]:
    """The parts of pfnlab that a guest gets, by name; its packages are empty ones."""
    found = {"pfnlab.lab.inside.agent": INSIDE / "agent.py", **light_modules()}
    parts = [PACKAGE / "workload.py", PACKAGE / "measured.py", *(PACKAGE / "host").rglob("*.py")]
    for path in sorted(parts):
        names = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(("pfnlab", *(name for name in names if name != "__init__")))] = path
    return found


def light_modules() -> dict[str, Path]:
    """What a guest has instead of modules of Python, and where Python's own functools is.

    From 3.14 on its modules need more of each other than the light ones have.
    """
    if sys.version_info >= (3, 14):
        return {}
    return {
        "dataclasses": INSIDE / "light_dataclasses.py",
        "functools": INSIDE / "light_functools.py",
        "json": INSIDE / "light_json" / "__init__.py",
        "pathlib": INSIDE / "light_pathlib.py",
        "typing": INSIDE / "light_typing.py",
        WHOLE: Path(functools.__file__),
    }


def recipe() -> list[bytes]:
    """What changes when something else is packed for the same interpreter."""
    files = [Path(__file__), *INSIDE.glob("*.py"), *own_modules().values()]
    return [path.read_bytes() for path in sorted(files)]


def guest_python() -> list[Entry]:
    """Find the files of the running interpreter; takes a second.  Raises LabError.

    Code that Python does not need to start is one file, "lab/code": see inside/begin.py.
    """
    python = interpreter()
    own = own_modules()
    files = json.dumps({name: str(path) for name, path in own.items()})
    command = [str(python), "-I", "-S", str(INSIDE / "imported.py"), str(PACKAGE), files]
    done = subprocess.run([*command, *STANDARD, *own], capture_output=True, text=True, check=False)
    if done.returncode:
        raise LabError(f"{python} does not import what a guest needs: {_last_line(done.stderr)}")
    found = json.loads(done.stdout)
    paths = {str(python)}
    later = dict.fromkeys(("pfnlab", "pfnlab.lab", "pfnlab.lab.inside"), EMPTY_PACKAGE)
    for name, file in found["modules"].items():
        if name in found["first"] or not file.endswith(".py"):
            paths.add(file)
        else:
            later[name] = _module(Path(file))
    paths.update(_libraries({path for path in paths if ".so" in path} | {str(python)}))
    # The loader's table of libraries, for those that lie in unusual folders.
    paths.update(path for path in ("/etc/ld.so.cache",) if os.path.exists(path))
    entries = [_packed(path) for path in sorted(paths)]
    entries.append(Entry(_landmark(found["base"])))
    later.update({name: _module(path) for name, path in own.items()})
    entries.append(Entry("lab/code", marshal.dumps(later)))
    entries.append(Entry("lab/begin.pyc", _compiled(INSIDE / "begin.py")))
    entries.append(Entry("init", str(python).encode(), LINK))  # it runs begin.pyc: see qemu.py
    return entries


def _libraries(paths: set[str]) -> set[str]:
    """Shared libraries by the names that the loader looks for, which may be links."""
    done = subprocess.run(["ldd", *sorted(paths)], capture_output=True, text=True, check=False)
    return set(re.findall(r"(/\S+) \(0x", done.stdout))


def _landmark(base: str) -> str:
    """A file in the folder by which the interpreter knows that it has found its own."""
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    return f"{base}/lib/{version}/lib-dynload/.landmark".lstrip("/")


def _packed(path: str) -> Entry:
    if path.endswith(".py"):
        return Entry(f"{path}c".lstrip("/"), _compiled(Path(path)))
    data = Path(path).read_bytes()
    return Entry(path.lstrip("/"), without_debugging(data), PROGRAM)


def _compiled(path: Path) -> bytes:
    """As a .pyc that is not compared with its source (PEP 552)."""
    head = importlib.util.MAGIC_NUMBER + (1).to_bytes(4, "little")
    return head + importlib.util.source_hash(path.read_bytes()) + _code(path)


def _module(path: Path) -> tuple[bool, bytes]:
    """Whether it is a package, and its code."""
    return path.name == "__init__.py", _code(path)


def _code(path: Path) -> bytes:
    """The code of a module as marshal writes it: a guest does not compile."""
    name = str(path.relative_to(PACKAGE.parent)) if path.is_relative_to(PACKAGE) else str(path)
    return marshal.dumps(compile(path.read_bytes(), name, "exec", dont_inherit=True, optimize=0))


def _last_line(text: str) -> str:
    return text.strip().rpartition("\n")[2]
