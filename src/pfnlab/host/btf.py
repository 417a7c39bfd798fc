"""Offsets of struct members of the running kernel, by its BTF: no debuginfo, no library.

The format is in Documentation/bpf/btf.rst of the kernel.
"""

import struct
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pfnlab.host.errors import HostError

VMLINUX = Path("/sys/kernel/btf/vmlinux")
MAGIC = 0xEB9F
HEADER = struct.Struct("=HBBIIIII")
STRUCT, UNION = 4, 5
MODIFIERS = (8, 9, 10, 11, 18)  # typedef, volatile, const, restrict, type_tag
# Words behind the three of each type, by kind: always, and for each of its vlen entries.
FIXED_WORDS = {1: 1, 3: 3, 14: 1, 17: 1}
ENTRY_WORDS = {4: 3, 5: 3, 6: 2, 13: 2, 15: 3, 19: 3}
SIZE = [FIXED_WORDS.get(kind, 0) + 3 for kind in range(32)]
EACH = [ENTRY_WORDS.get(kind, 0) for kind in range(32)]
AT_ONCE = 1024


@dataclass(frozen=True)
class Found:
    """A member: its offset in bytes, and the id of its type."""

    offset: int
    type_id: int


class Btf:
    """One blob.  That of a module goes on where that of vmlinux, its `base`, ends."""

    def __init__(self, data: bytes, base: "Btf | None" = None) -> None:
        if len(data) < HEADER.size or HEADER.unpack_from(data)[0] != MAGIC:
            raise HostError("this is no BTF")
        _magic, _version, _flags, header, types, types_size, strings, strings_size = (
            HEADER.unpack_from(data)
        )
        start = header + types
        self.words = memoryview(data)[start : start + types_size // 4 * 4].cast("I")
        self.strings = data[header + strings : header + strings + strings_size]
        self.base = base
        self._starts: list[int] = []  # of the types that were looked at so far
        self._end = 0
        self.first_id: int = 1 if base is None else base.first_id + base.count()
        self.first_string: int = 0 if base is None else base.first_string + len(base.strings)

    def count(self) -> int:
        """How many types there are."""
        while self._look_further():
            pass
        return len(self._starts)

    def _look_further(self) -> bool:
        """Find where the next types start; False if there are no more.

        Types have no index, and what a kernel is made of comes early.
        """
        words, place, end = self.words, self._end, len(self.words)
        found: list[int] = []
        while place + 2 < end and len(found) < AT_ONCE:
            found.append(place)
            info = words[place + 1]
            kind = info >> 24 & 31
            place += SIZE[kind] + EACH[kind] * (info & 0xFFFF)
        self._starts += found
        self._end = place
        return bool(found)

    def name(self, offset: int) -> str:
        if self.base is not None and offset < self.first_string:
            return self.base.name(offset)
        start = offset - self.first_string
        return self.strings[start : self.strings.index(b"\0", start)].decode()

    def offset(self, path: str) -> int:
        """Of "struct.member.member", in bytes; members of anonymous structs are found, too.

        Raises HostError if this kernel has no such member.
        """
        name, *members = path.split(".")
        type_id = self.struct_id(name)
        total = 0
        for member in members:
            found = None if type_id is None else self.member(type_id, member)
            if found is None:
                raise HostError(f"this kernel has no {path}")
            total += found.offset
            type_id = found.type_id
        return total

    def struct_id(self, name: str) -> int | None:
        """The id of a struct or union by name."""
        place = self.strings.find(b"\0" + name.encode() + b"\0")
        if place >= 0:
            wanted = place + 1 + self.first_string
            words, starts, index = self.words, self._starts, 0
            while index < len(starts) or self._look_further():
                start = starts[index]
                if words[start] == wanted and words[start + 1] >> 24 & 31 in (STRUCT, UNION):
                    return self.first_id + index
                index += 1
        return None if self.base is None else self.base.struct_id(name)

    def member(self, type_id: int, name: str) -> Found | None:
        if type_id < self.first_id:
            return None if self.base is None else self.base.member(type_id, name)
        start = self.start_of(type_id)
        words = self.words
        info = words[start + 1]
        kind = info >> 24 & 31
        if kind in MODIFIERS:
            return self.member(words[start + 2], name)
        if kind not in (STRUCT, UNION):
            return None
        bitfields = info >> 31
        for entry in range(start + 3, start + 3 + 3 * (info & 0xFFFF), 3):
            member_name, member_type, bits = words[entry : entry + 3]
            offset = (bits & 0xFFFFFF if bitfields else bits) // 8
            if member_name == 0:
                inner = self.member(member_type, name)
                if inner is not None:
                    return Found(offset + inner.offset, inner.type_id)
            elif self.name(member_name) == name:
                return Found(offset, member_type)
        return None

    def start_of(self, type_id: int) -> int:
        index = type_id - self.first_id
        while index >= len(self._starts) and self._look_further():
            pass
        return self._starts[index]


@cache
def vmlinux(path: Path = VMLINUX) -> Btf:
    """Of the running kernel, read once; raises HostError if it has none."""
    try:
        return Btf(path.read_bytes())
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
