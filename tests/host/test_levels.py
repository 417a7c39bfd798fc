"""Page tables of a made-up kernel: leaves and tables of every level are found."""

import pytest

from pfnlab.host.btf import Btf
from pfnlab.host.errors import HostError
from pfnlab.host.levels import PageTables, PageTableWalker, Range
from tests.host.test_btf import INT, STRUCT, Blob

PAGE, PMD, PUD = 4096, 2 << 20, 1 << 30
P, LEAF, AD = 0x1, 0x80, 0x60
BAR = 0x380000000000
DIRECT = 0xFFFF888000000000
INIT_TASK = DIRECT + 0x1000
TASKS, PID, MM, LEADER, PGD = 8, 24, 32, 40, 16


class Memory:
    """Pages by physical address; everything is mapped from DIRECT on."""

    def __init__(self, levels: int = 4) -> None:
        self.levels = levels
        self.pages: dict[int, bytearray] = {}
        self.free = 0x100000
        self.tops: dict[int, int] = {}
        self.own = self.newest = INIT_TASK
        self.task(0, INIT_TASK, mm=0)

    def current_task(self) -> bytes:
        return self.virtual(self.own, 64)

    def physical(self, address: int, size: int) -> bytes:
        if size > PAGE:
            return b"".join(self.physical(at, PAGE) for at in range(address, address + size, PAGE))
        page = self.pages.setdefault(address // PAGE * PAGE, bytearray(PAGE))
        return bytes(page[address % PAGE : address % PAGE + size])

    def physical_into(self, address: int, buffer: memoryview) -> None:
        buffer[:] = self.physical(address, len(buffer))

    def virtual(self, address: int, size: int) -> bytes:
        return self.physical(address - DIRECT, size)

    def put(self, address: int, value: int, size: int = 8) -> None:
        page = self.pages.setdefault(address // PAGE * PAGE, bytearray(PAGE))
        page[address % PAGE : address % PAGE + size] = value.to_bytes(size, "little")

    def new_page(self) -> int:
        self.free += PAGE
        return self.free

    def task(self, pid: int, address: int, mm: int) -> None:
        place = address - DIRECT
        self.put(place + PID, pid, 4)
        self.put(place + MM, mm)
        self.put(place + LEADER, address)
        self.put(self.newest - DIRECT + TASKS, address + TASKS)
        self.put(place + TASKS, INIT_TASK + TASKS)
        self.newest = address

    def process(self, pid: int) -> None:
        mm, top = self.new_page(), self.new_page()
        self.tops[pid] = top
        self.put(mm + PGD, DIRECT + top)
        self.task(pid, DIRECT + self.new_page(), DIRECT + mm)

    def set(self, pid: int, address: int, shift: int, entry: int) -> None:
        """Put an entry that maps `address` at a level; tables above it are made."""
        table = self.tops[pid]
        at = 48 if self.levels == 5 else 39
        while at > shift:
            place = table + (address >> at & 511) * 8
            below = int.from_bytes(self.physical(place, 8), "little")
            if not below:
                below = self.new_page() | P | AD
                self.put(place, below)
            table, at = below & ~0xFFF, at - 9
        self.put(table + (address >> shift & 511) * 8, entry)


def kernel_types() -> Btf:
    blob = Blob()
    blob.add("int", INT, 0, 8, 64)
    members = [("tasks", TASKS), ("pid", PID), ("mm", MM), ("group_leader", LEADER)]
    words = [word for name, at in members for word in (blob.name(name), 1, at * 8)]
    blob.add("task_struct", STRUCT, len(members), 64, *words)
    blob.add("mm_struct", STRUCT, 1, 64, blob.name("pgd"), 1, PGD * 8)
    return Btf(blob.data())


def walker(memory: Memory) -> PageTableWalker:
    return PageTableWalker(memory, kernel_types().offset)


START = 0x7F0000000000


@pytest.mark.parametrize("levels", [4, 5])
def test_leaves_of_each_level_are_told_apart(levels: int) -> None:
    memory = Memory(levels)
    memory.process(7)
    memory.process(8)
    memory.set(7, START, 30, BAR | P | LEAF)
    memory.set(7, START + PUD, 21, BAR + PUD | P | LEAF)
    memory.set(7, START + PUD + PMD, 12, BAR + PUD + PMD | P)
    found = walker(memory).walk(START, START + 2 * PUD, 7)

    assert [(part.level, part.start, part.end, part.physical) for part in found.ranges] == [
        ("pud", START, START + PUD, BAR),
        ("pmd", START + PUD, START + PUD + PMD, BAR + PUD),
        ("pte", START + PUD + PMD, START + PUD + PMD + PAGE, BAR + PUD + PMD),
    ]
    assert found.counts() == {
        "leaves pud": 1, "leaves pmd": 1, "leaves pte": 1, "tables pmd": 1, "tables pte": 1,
    }  # fmt: skip
    assert not walker(memory).walk(START, START + 2 * PUD, 8).ranges


def test_a_full_table_is_one_range_whatever_was_accessed() -> None:
    memory = Memory()
    memory.process(7)
    for index in range(1024):
        accessed = AD if index % 3 else 0
        memory.set(7, START + index * PAGE, 12, BAR + index * PAGE | P | accessed)
    found = walker(memory).walk(START, START + 2 * PMD, 7)

    assert found.ranges == [Range(START, START + 2 * PMD, "pte", BAR, P)]
    assert found.counts()["tables pte"] == 2


def test_only_the_part_that_is_asked_for_counts() -> None:
    memory = Memory()
    memory.process(7)
    for index in range(512):
        memory.set(7, START + index * PAGE, 12, BAR + index * PAGE | P)

    assert walker(memory).walk(START + PAGE, START + 5 * PAGE, 7).counts()["leaves pte"] == 4
    assert walker(memory).walk(START + PUD, START + 2 * PUD, 7).counts()["tables pmd"] == 0


def test_a_table_of_two_parts_is_counted_once() -> None:
    memory = Memory()
    memory.process(7)
    memory.set(7, START, 12, BAR | P)
    found = PageTables()
    for part in (START, START + PAGE):
        walker(memory).walk_into(found, part, part + PAGE, 7)

    assert found.counts()["tables pte"] == found.counts()["tables pmd"] == 1


def set_pages(memory: Memory, order: list[int], pages: dict[int, int]) -> None:
    """Tables by number in the order in which they get their places; pages differ where told."""
    for slot in order:
        for index in range(512 * slot, 512 * slot + 512):
            page = pages.get(index, BAR + index * PAGE | P)
            memory.set(7, START + index * PAGE, 12, page)


@pytest.mark.parametrize("turned", [False, True])
def test_a_page_that_differs_is_found_among_many_tables(turned: bool) -> None:
    memory = Memory()
    memory.process(7)
    other = 40 * 512 + 7
    order = [*range(16), *(range(31, 15, -1) if turned else range(16, 32)), *range(32, 48)]
    set_pages(memory, order, {other: BAR | P})
    found = walker(memory).walk(START, START + 48 * PMD, 7)

    hole = START + other * PAGE
    assert [(part.start, part.end, part.physical) for part in found.ranges] == [
        (START, hole, BAR),
        (hole, hole + PAGE, BAR),
        (hole + PAGE, START + 48 * PMD, BAR + (other + 1) * PAGE),
    ]


def test_tables_in_another_order_are_not_taken_for_those_that_follow() -> None:
    memory = Memory()
    memory.process(7)
    # The second half is mapped by tables that lie downwards, with pages as if they lay upwards.
    pages = {
        512 * (16 + slot) + index: BAR + (512 * (31 - slot) + index) * PAGE | P
        for slot in range(16)
        for index in range(512)
    }
    set_pages(memory, [*range(16), *range(31, 15, -1)], pages)
    found = walker(memory).walk(START, START + 32 * PMD, 7)

    assert len(found.ranges) == 17
    assert found.ranges[0].end == START + 16 * PMD


@pytest.mark.parametrize("order", ["up", "down", "mixed"])
def test_leaves_are_the_same_wherever_their_tables_are(order: str) -> None:
    memory = Memory()
    memory.process(7)
    slots = {"up": range(6), "down": range(5, -1, -1), "mixed": (3, 0, 1, 5, 4, 2)}[order]
    for slot in slots:
        for index in range(512):
            memory.set(
                7, START + slot * PMD + index * PAGE, 12, BAR + slot * PMD + index * PAGE | P
            )
    memory.set(7, START + 2 * PMD + 5 * PAGE, 12, 0)
    found = walker(memory).walk(START + PAGE, START + 6 * PMD, 7)

    hole = START + 2 * PMD + 5 * PAGE
    assert [(part.start, part.end) for part in found.ranges] == [
        (START + PAGE, hole), (hole + PAGE, START + 6 * PMD),
    ]  # fmt: skip
    assert found.counts()["tables pte"] == 6


def test_a_child_and_its_parent_are_found_from_each_other() -> None:
    memory = Memory()
    for pid in (1, 7, 8):
        memory.process(pid)
    memory.set(8, START, 30, BAR | P | LEAF)
    memory.own = memory.newest
    walk = walker(memory).walk

    assert walk(START, START + PUD, 8).counts()["leaves pud"] == 1
    assert not walk(START, START + PUD, 7).ranges


def test_a_process_that_is_not_there_is_an_error() -> None:
    with pytest.raises(HostError, match="no process 9"):
        walker(Memory()).walk(START, START + PAGE, 9)
