"""Files in the cache: made whole or not at all, by one process at a time."""

import fcntl
import glob
import hashlib
import os
import shutil
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

ABANDONED = 24 * 3600.0  # seconds after which nobody goes on writing a file


def default_cache() -> Path:
    """$XDG_CACHE_HOME/pfnlab, or ~/.cache/pfnlab, as desktops agree on."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    folder = Path(base) if base.startswith("/") else Path.home() / ".cache"
    return folder / "pfnlab"


def digest(*parts: object) -> str:
    """A short name for what is made from these parts."""
    found = hashlib.sha256()
    for part in parts:
        data = part if isinstance(part, bytes) else str(part).encode()
        found.update(b"%d:" % len(data) + data)
    return found.hexdigest()[:16]


def mark(path: Path) -> str:
    """Changes when the file does."""
    status = path.stat()
    return f"{path} {status.st_size} {status.st_mtime_ns}"


@contextmanager
def written(path: Path) -> Iterator[IO[bytes]]:
    """A file to write, which is at `path` only when the block has ended well."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    for other in path.parent.glob(f".{glob.escape(path.name)}.*"):
        with suppress(OSError):  # of a process that was killed
            if other.suffix[1:].isdigit() and time.time() - other.stat().st_mtime > ABANDONED:
                other.unlink()
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)  # or nobody knows which disk is full
        raise
    finally:
        partial.unlink(missing_ok=True)


def least_used(paths: Iterable[Path], kept: int) -> list[Path]:
    """All but the `kept` that were used latest, which is the time that they bear."""
    return sorted(paths, key=_used, reverse=True)[kept:]


@contextmanager
def locked(path: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold the lock of that name; the kernel drops it if the process is killed.

    Raises BlockingIOError if somebody else has it, and this one does not wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
        fcntl.flock(file, how if wait else how | fcntl.LOCK_NB)
        yield


def remove_abandoned(folder: Path) -> None:
    """Remove the NAME.part folders of processes that were killed: nobody holds NAME.lock."""
    for partial in folder.glob("*.part"):
        with partial.with_suffix(".lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            shutil.rmtree(partial, ignore_errors=True)


def _used(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except OSError:
        return time.time()  # somebody else has removed it
