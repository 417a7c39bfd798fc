"""What a guest has as `pathlib`: as much of Path as host/ uses.

Python's own imports regular expressions, and what it takes to make addresses of the Internet of
paths: a tenth of a second by emulation.
"""

import os
from collections.abc import Iterator
from typing import IO, Any, Self

__all__ = ["Path"]


class Path(str):
    """A path that is its text, of Linux."""

    __slots__ = ()

    def __truediv__(self, more: str) -> Self:
        return type(self)(os.path.join(self, more))

    @property
    def name(self) -> str:
        return os.path.basename(self)

    @property
    def suffix(self) -> str:
        return os.path.splitext(self)[1]

    @property
    def parent(self) -> Self:
        return type(self)(os.path.dirname(self))

    def exists(self) -> bool:
        return os.path.exists(self)

    def iterdir(self) -> Iterator[Self]:
        return (self / name for name in os.listdir(self))

    def readlink(self) -> Self:
        return type(self)(os.readlink(self))

    def mkdir(self) -> None:
        os.mkdir(self)

    def rmdir(self) -> None:
        os.rmdir(self)

    def open(self, mode: str = "r", buffering: int = -1, encoding: str | None = None) -> IO[Any]:
        return open(self, mode, buffering, encoding)

    def read_bytes(self) -> bytes:
        with open(self, "rb") as file:
            return file.read()

    def read_text(self, encoding: str | None = None, errors: str | None = None) -> str:
        with open(self, encoding=encoding, errors=errors) as file:
            return file.read()
