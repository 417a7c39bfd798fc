"""Memory of the running kernel through /proc/kcore, an ELF file.

Its notes have the task_struct of whoever reads them, so nothing needs the address of a symbol.
"""

import os
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from pfnlab.host.elf_notes import elf_notes
from pfnlab.host.errors import HostError

KCORE = Path("/proc/kcore")
PROGRAM_HEADER = struct.Struct("=2I6Q")
PT_LOAD, PT_NOTE = 1, 4
NT_TASKSTRUCT = 4
NO_ADDRESS = 2**64 - 1
# The kernel's own text is mapped from here on, apart from the map of all memory.
KERNEL_TEXT = 0xFFFFFFFF80000000
# With 4 levels kernel addresses begin here; with 5 the map of all memory is far below.
LOWEST_OF_4_LEVELS = 0xFFFF800000000000


class KernelMemory(Protocol):
    """What levels.py needs."""

    levels: int

    def current_task(self) -> bytes: ...
    def virtual(self, address: int, size: int) -> bytes: ...
    def physical(self, address: int, size: int) -> bytes: ...
    def physical_into(self, address: int, buffer: memoryview) -> None: ...


@dataclass(frozen=True)
class Segment:
    virtual: int
    physical: int
    size: int
    offset: int


class Kcore:
    """Raises HostError if it cannot be read, or has not what is asked for."""

    def __init__(self, path: Path = KCORE) -> None:
        self.path = path
        self.notes = (0, 0)  # where they are in the file, and how many bytes
        try:
            self.file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            raise HostError(f"cannot open {path}: {error.strerror}") from error
        try:
            self.segments = self.read_segments()
        except BaseException:
            self.close()
            raise
        self.levels = 5 if any(s.virtual < LOWEST_OF_4_LEVELS for s in self.segments) else 4

    def read_segments(self) -> list[Segment]:
        header = os.pread(self.file, 64, 0)
        if len(header) < 64 or header[:4] != b"\x7fELF":
            raise HostError(f"{self.path} is no ELF file")
        (place,) = struct.unpack_from("=Q", header, 32)
        size, count = struct.unpack_from("=2H", header, 54)
        found = []
        for at in range(place, place + size * count, size):
            kind, _flags, offset, virtual, physical, file_size, memory_size, _align = (
                PROGRAM_HEADER.unpack(os.pread(self.file, PROGRAM_HEADER.size, at))
            )
            if kind == PT_LOAD:
                found.append(Segment(virtual, physical, memory_size, offset))
            elif kind == PT_NOTE:
                self.notes = (offset, file_size)
        return found

    def current_task(self) -> bytes:
        """The task_struct of the calling thread, as it is now."""
        for _name, kind, value in elf_notes(self.read(*self.notes)):
            if kind == NT_TASKSTRUCT:
                return value
        raise HostError(f"{self.path} has no task_struct of its reader")

    def virtual(self, address: int, size: int) -> bytes:
        for segment in self.segments:
            if segment.virtual <= address < segment.virtual + segment.size:
                return self.read(segment.offset + address - segment.virtual, size)
        raise HostError(f"{address:#x} is not in {self.path}")

    def physical(self, address: int, size: int) -> bytes:
        return self.read(self.place_of(address), size)

    def physical_into(self, address: int, buffer: memoryview) -> None:
        """As many bytes as the buffer has."""
        place = self.place_of(address)
        if os.preadv(self.file, [buffer], place) != len(buffer):
            raise HostError(f"{self.path} ends before {place + len(buffer):#x}")

    def place_of(self, address: int) -> int:
        """Where physical memory is in the file."""
        for segment in self.segments:
            if segment.physical == NO_ADDRESS or segment.virtual >= KERNEL_TEXT:
                continue
            if segment.physical <= address < segment.physical + segment.size:
                return segment.offset + address - segment.physical
        raise HostError(f"physical {address:#x} is not in {self.path}")

    def read(self, offset: int, size: int) -> bytes:
        data = os.pread(self.file, size, offset)
        if len(data) != size:
            raise HostError(f"{self.path} ends before {offset + size:#x}")
        return data

    def close(self) -> None:
        os.close(self.file)
