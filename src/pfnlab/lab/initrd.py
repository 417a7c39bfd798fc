"""An archive that the kernel unpacks as its first file system: cpio, as `newc`.

Documentation/driver-api/early-userspace/buffer-format.rst has the format.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath

FOLDER = 0o040755
FILE = 0o100644
PROGRAM = 0o100755
LINK = 0o120777


@dataclass(frozen=True)
class Entry:
    """A file, a folder, or a link with its target as data; `path` begins with no slash."""

    path: str
    data: bytes = b""
    mode: int = FILE


def archive(entries: Iterable[Entry]) -> bytes:
    """The archive of entries, with the folders that they lie in before them."""
    parts: list[bytes] = []
    number = 0
    for number, entry in enumerate(_with_folders(entries), start=1):
        parts.append(_member(number, entry))
    parts.append(_member(number + 1, Entry("TRAILER!!!", mode=0)))
    return b"".join(parts)


def _with_folders(entries: Iterable[Entry]) -> Iterable[Entry]:
    made: set[str] = set()
    for entry in entries:
        for folder in reversed(PurePosixPath(entry.path).parents[:-1]):
            if str(folder) not in made:
                made.add(str(folder))
                yield Entry(str(folder), mode=FOLDER)
        if entry.path not in made:
            made.add(entry.path)
            yield entry


def _member(number: int, entry: Entry) -> bytes:
    name = entry.path.encode() + b"\0"
    # inode, mode, uid, gid, links, mtime, size, device (4 numbers), length of the name, checksum
    numbers = (number, entry.mode, 0, 0, 1, 0, len(entry.data), 0, 0, 0, 0, len(name), 0)
    head = b"070701" + b"".join(b"%08x" % each for each in numbers) + name
    return _padded(head) + _padded(entry.data)


def _padded(data: bytes) -> bytes:
    return data + b"\0" * (-len(data) % 4)
