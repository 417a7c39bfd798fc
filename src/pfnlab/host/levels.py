"""Leaves and tables of a part of a process, by walking its page tables as the CPU does: x86-64.

Nothing else tells: pagemap and smaps know nothing of pfn mappings.
"""

import ctypes
import os
import struct
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from pfnlab.host.alike import alike
from pfnlab.host.errors import HostError
from pfnlab.host.kcore import KernelMemory
from pfnlab.workload import PAGE, Level

ENTRIES = 512
PRESENT, ACCESSED_DIRTY, LEAF = 0x1, 0x60, 0x80
SOFTWARE_BITS = 0xE00
PHYSICAL = (1 << 52) - PAGE
COMPARED = 2**64 - 1 & ~(ACCESSED_DIRTY | SOFTWARE_BITS)
AT_ONCE = 256  # tables that are read together
LEVELS: Mapping[int, Level] = {12: "pte", 21: "pmd", 30: "pud"}
GROUP_LEADER, TASKS, PID, MM, PGD = MEMBERS = (
    "task_struct.group_leader", "task_struct.tasks", "task_struct.pid", "task_struct.mm",
    "mm_struct.pgd",
)  # fmt: skip


@dataclass(frozen=True)
class Range:
    """Leaves of one level that follow each other, also physically.  Addresses are in bytes."""

    start: int
    end: int
    level: Level
    physical: int
    flags: int


@dataclass
class PageTables:
    """What a walk finds.  tables: the pages that hold entries of a level, by where they are."""

    ranges: list[Range] = field(default_factory=list)
    tables: dict[Level, set[int]] = field(default_factory=lambda: {"pte": set(), "pmd": set()})

    def counts(self) -> dict[str, int]:
        """ "leaves pud", ... and "tables pte", ...: all five, as measured.py names them."""
        found: Counter[str] = Counter()
        for shift, level in LEVELS.items():
            size = 1 << shift
            found[f"leaves {level}"] = sum(
                (part.end - part.start) // size for part in self.ranges if part.level == level
            )
        for level, places in self.tables.items():
            found[f"tables {level}"] = len(places)
        return dict(found)

    def add(self, start: int, end: int, level: Level, entry: int) -> None:
        physical = entry & PHYSICAL & -(1 << {"pte": 12, "pmd": 21, "pud": 30}[level])
        flags = entry & ~PHYSICAL & ~(ACCESSED_DIRTY | SOFTWARE_BITS)
        if self.ranges:
            last = self.ranges[-1]
            follows = (last.end, last.physical + last.end - last.start) == (start, physical)
            if follows and (last.level, last.flags) == (level, flags):
                self.ranges[-1] = Range(last.start, end, level, last.physical, flags)
                return
        self.ranges.append(Range(start, end, level, physical, flags))


class PageTableWalker:
    """Walks the tables of processes of this machine.

    `offset` tells where in their structs MEMBERS are; what it raises is raised.
    """

    def __init__(self, memory: KernelMemory, offset: Callable[[str], int]) -> None:
        self.memory = memory
        self.leader = offset(GROUP_LEADER)
        self.tasks = offset(TASKS)
        self.pid = offset(PID)
        self.mm = offset(MM)
        self.pgd = offset(PGD)
        buffer = bytearray(AT_ONCE * PAGE)  # one for all: each page of a new one would fault
        self.buffer = memoryview(buffer)
        self.address = ctypes.addressof(ctypes.c_char.from_buffer(buffer))

    def pgd_of(self, pid: int) -> int:
        """The kernel's address of the top table of a process."""
        current = self.memory.current_task()
        task = own = int.from_bytes(current[self.leader : self.leader + 8], "little")
        while True:
            (number,) = struct.unpack("=i", self.memory.virtual(task + self.pid, 4))
            if number == pid:
                mm = self.pointer(task + self.mm)
                if not mm:
                    break
                return self.pointer(mm + self.pgd)
            # In the list of all tasks, which is a ring, a child is not far behind its parent.
            task = self.pointer(task + self.tasks) - self.tasks
            if task == own:
                break
        raise HostError(f"no process {pid} with memory is in the list of tasks")

    def pointer(self, address: int) -> int:
        return int.from_bytes(self.memory.virtual(address, 8), "little")

    def walk(self, start: int, end: int, pid: int | None = None) -> PageTables:
        """A part of a process; by default this one.  It must not run meanwhile."""
        found = PageTables()
        self.walk_into(found, start, end, pid)
        return found

    def walk_into(self, found: PageTables, start: int, end: int, pid: int | None = None) -> None:
        """Add another part to what was found; a table that both use is counted once."""
        pgd = self.memory.virtual(self.pgd_of(os.getpid() if pid is None else pid), PAGE)
        shift = 48 if self.memory.levels == 5 else 39
        self.table(found, pgd, 0, shift, start, end)

    def table(
        self, found: PageTables, data: bytes, base: int, shift: int, start: int, end: int
    ) -> None:
        entries = struct.unpack("=512Q", data)
        size = 1 << shift
        index, last = max(0, start - base >> shift), min(ENTRIES, -(-(end - base) // size))
        while index < last:
            entry = entries[index]
            address = base + index * size
            index += 1
            if not entry & PRESENT:
                continue
            if shift in (21, 30) and entry & LEAF:
                found.add(address, address + size, LEVELS[shift], entry)
            elif shift == 21:
                places = side_by_side(entries[index - 1 : min(last, index - 1 + AT_ONCE)])
                self.tables_of_ptes(found, places, address, start, end)
                index += len(places) - 1
            else:
                place = entry & PHYSICAL
                if shift == 30:
                    found.tables["pmd"].add(place)
                below = self.memory.physical(place, PAGE)
                self.table(found, below, address, shift - 9, start, end)

    def tables_of_ptes(
        self, found: PageTables, places: list[int], base: int, start: int, end: int
    ) -> None:
        """Tables that lie side by side, which are read at once; the first maps from `base` on."""
        found.tables["pte"].update(places)
        lowest = min(places)
        self.memory.physical_into(lowest, self.buffer[: len(places) * PAGE])
        downwards = places[-1] < places[0]
        jump = -2 * PAGE if downwards else 0
        index = max(0, start - base >> 12)
        last = min(len(places) * ENTRIES, -(-(end - base) // PAGE))
        while index < last:
            table, slot = divmod(index, ENTRIES)
            offset = places[table] - lowest + 8 * slot
            # alike() looks for the next table behind 512 entries.
            count = min(last - index, ENTRIES - slot) if downwards and slot else last - index
            (entry,) = struct.unpack_from("=Q", self.buffer, offset)
            if entry & PRESENT:
                count = alike(self.address + offset, count, PAGE, COMPARED, jump)
                address = base + index * PAGE
                found.add(address, address + count * PAGE, "pte", entry)
            else:
                count = alike(self.address + offset, count, 0, PRESENT, jump)
            index += count


def side_by_side(entries: tuple[int, ...]) -> list[int]:
    """Where the first tables are, as far as each lies beside the one before, up or down."""
    places = [entries[0] & PHYSICAL]
    step = entries[1] - entries[0] if len(entries) > 1 else 0
    if abs(step) == PAGE:
        rise = step * len(entries)
        if entries == tuple(range(entries[0], entries[0] + rise, step)):  # nearly always
            return list(range(places[0], places[0] + rise, step))
    step = 0
    for entry in entries[1:]:
        place = entry & PHYSICAL
        step = step or place - places[0]
        beside = abs(step) == PAGE and place == places[-1] + step
        if not (beside and entry & PRESENT) or entry & LEAF:
            break
        places.append(place)
    return places
