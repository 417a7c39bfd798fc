"""Files that a command writes where the user says: refused before the work, and made whole."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pfnlab.errors import ModelError
from pfnlab.lab.files import default_cache, written


def check_place(path: Path) -> None:
    """Raise ModelError, before any work, if no file can be written there."""
    if path.is_dir():
        raise ModelError(f"{path} cannot be written: it is a directory")
    if not path.parent.is_dir():
        raise ModelError(f"{path} cannot be written: there is no directory {path.parent}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ModelError(f"{path} cannot be written: {path.parent} is not writable")


def cache_folder(given: Path | None) -> Path:
    """Where a command keeps what it fetches and makes; raises ModelError where that cannot be."""
    folder = given or default_cache()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelError(
            f"{folder} cannot be a cache: {error.strerror or error}; --cache names another"
        ) from error
    return folder


def check_new(path: Path) -> None:
    """As check_place(), for a file that must not be there yet."""
    check_place(path)
    if path.exists():
        raise ModelError(f"{path} exists already; it was left alone")


def write_whole(path: Path, text: str) -> None:
    """All of it is in place, or the file is as it was; raises ModelError."""
    with naming(path), written(path) as file:
        file.write(text.encode())


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Name the file in an OSError: a disk that is full names none."""
    try:
        yield
    except OSError as error:
        raise ModelError(f"{path} cannot be written: {error.strerror or error}") from error
