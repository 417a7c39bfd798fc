"""What a search is made of: hashes of files, to tell later which of them has changed."""

import hashlib
import sys
from collections.abc import Iterable
from pathlib import Path

from pfnlab.catalogue import is_path, path_and_name

PACKAGE = Path(__file__).resolve().parent


def own_files(spec: str) -> list[Path]:
    """The user's files that a design or scenario is made of.

    That is its file, which has been loaded, and what that has imported from the same folder.  What
    ships is pfnlab's.
    """
    if not is_path(spec):
        return []
    file = file_of(spec)
    loaded = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    beside = {Path(name).resolve() for name in loaded if name and Path(name).is_file()}
    return [
        each
        for each in sorted({file, *beside})
        if each.is_relative_to(file.parent)
        and "site-packages" not in each.parts
        and not each.is_relative_to(PACKAGE)
    ]


def own_sources(spec: str) -> dict[str, str]:
    """Hashes of own_files(), by their place beside the first."""
    return {
        str(each.relative_to(file_of(spec).parent)): hash_of([each]) for each in own_files(spec)
    }


def changes(spec: str, sources: dict[str, str]) -> list[str]:
    """Which files are others than they were."""
    root = file_of(spec).parent
    return [
        name
        for name, known in sources.items()
        if not (root / name).is_file() or hash_of([root / name]) != known
    ]


def package_hash() -> str:
    """Of all that decides what a step is; texts may change."""
    parts = ("engine", "explorer", "kernel", "designs", "rules", "scenarios")
    return hash_of(file for part in parts for file in (PACKAGE / part).glob("*.py"))


def file_of(spec: str) -> Path:
    return Path(path_and_name(spec)[0]).resolve()


def hash_of(files: Iterable[Path]) -> str:
    """Of the contents of files, whatever they are called."""
    parts = sorted(hashlib.sha256(file.read_bytes()).hexdigest() for file in files)
    return hashlib.sha256("".join(parts).encode()).hexdigest()
