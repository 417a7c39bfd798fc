"""The modules that a guest must load, in their order, from the .modinfo of their files.

modules.dep would say the same; a built tree does not have one.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.compressed import read_unpacked
from pfnlab.host.errors import HostError
from pfnlab.lab.errors import LabError

FILE = re.compile(r"(.+)\.ko(?:\.xz|\.gz|\.zst)?")


@dataclass(frozen=True)
class Module:
    """One module: its name, with underscores, and its file, unpacked.

    path  of the file in the folder of the modules, without the ending of what it was packed with
    """

    name: str
    data: bytes
    path: str


def modinfo(data: bytes, key: str) -> list[str]:
    """The values of `key` in the .modinfo section of a module, which is strings with a NUL."""
    found = re.findall(b"\x00" + key.encode() + b"=([^\x00]*)", data)
    return [value.decode(errors="replace") for value in found]


def load_order(folder: Path, names: Iterable[str]) -> list[Module]:
    """Modules by name and all that they depend on, each after its dependencies.

    A name that has no file is left out: it is built in, or this kernel does not have it.
    """
    files = _files(folder)
    order: dict[str, Module] = {}
    seen: set[str] = set()

    def add(name: str) -> None:
        name = name.replace("-", "_")
        if name in seen or name not in files:
            return
        seen.add(name)
        module = _read(name, files[name], folder)
        for needed in _needs(module.data):
            add(needed)
        order[name] = module

    for name in names:
        add(name)
    return list(order.values())


def _files(folder: Path) -> dict[str, Path]:
    found = {}
    for path in folder.rglob("*.ko*"):
        match = FILE.fullmatch(path.name)
        if match:
            found[match[1].replace("-", "_")] = path
    return found


def _read(name: str, path: Path, folder: Path) -> Module:
    try:
        data = read_unpacked(path)
    except HostError as error:
        raise LabError(f"{path}: {error}") from error
    if not data.startswith(b"\x7fELF"):
        raise LabError(f"{path}: no kernel module")
    unpacked = path.with_name(path.name.partition(".ko")[0] + ".ko")
    return Module(name, data, str(unpacked.relative_to(folder)))


def _needs(data: bytes) -> list[str]:
    needed = [name for line in modinfo(data, "depends") for name in line.split(",") if name]
    for line in modinfo(data, "softdep"):
        words = line.split()
        if words[:1] == ["pre:"]:
            rest = words[1:]
            ends = [index for index, word in enumerate(rest) if word.endswith(":")]
            needed += rest[: ends[0]] if ends else rest
    return needed
