"""The memory types that are reserved for physical ranges: one store for the machine.

Drawn after arch/x86/mm/pat/memtype.c and memtype_interval.c.

Model: device memory only; PAT is on, and no MTRR, RAM or ISA range has a say.

Model: a lookup in a BAR that its driver has mapped for itself is no step.  All entries
that overlap have one type, so none that comes or goes can change what is found; a lookup
elsewhere is one step that reads all entries.
"""

from typing import Any, NamedTuple

from pfnlab.engine.access import atomically
from pfnlab.engine.current import current_execution, setting_up
from pfnlab.engine.field import field
from pfnlab.engine.shared import Shared
from pfnlab.engine.word import word
from pfnlab.kernel.errno import EBUSY, EINVAL, Errno
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.kernel.gfp import GFP_KERNEL, might_alloc

UNTRACKED = "UC-"  # the type of device memory that nobody has reserved


class Memtype(NamedTuple):
    """struct memtype: one reservation of [start, end), in bytes.  The same may be there twice."""

    start: int
    end: int
    type: str

    def overlaps(self, start: int, end: int) -> bool:
        return self.start < end and start < self.end

    def __str__(self) -> str:
        return f"{self.start:x}..{self.end - 1:x} {self.type}"


Entries = tuple[Memtype, ...]


class MemtypeStore(Shared):
    """The interval tree and its spinlock: each hold of the lock is one step.

    `held` is what drivers reserve by ioremap() while a scenario is set up, and keep.
    """

    held = field[Entries]((), traced=False)
    entries = word[Entries](())

    def __init__(self) -> None:
        self.name = "memtypes"

    def held_type(self, paddr: int) -> str | None:
        """The type at an address that some device holds for its life; None if none does.

        No step: while this entry is there, no other one can change what a lookup finds.
        """
        page = (entry for entry in self.held if entry.overlaps(paddr, paddr + PAGE_SIZE))
        return next((entry.type for entry in page), None)


def running_memtypes() -> MemtypeStore:
    """The store of the scenario that runs now."""
    store = getattr(current_execution().program, "memtypes", None)
    assert isinstance(store, MemtypeStore), "who maps device memory has made a device before"
    return store


def is_new_memtype_allowed(memtype: str, new: str) -> bool:
    """Whether who asked for one type may be given the other."""
    return (memtype, new) not in {("UC-", "WB"), ("WC", "WB"), ("WT", "WB"), ("WT", "WC")}


def memtype_reserve(start: int, end: int, memtype: str) -> tuple[Errno, str]:
    """Reserve [start, end) in bytes: (error, the type reserved).

    Where somebody else has reserved already, theirs is the type; -EBUSY if the range
    holds several.
    """
    store = running_memtypes()
    held = store.held
    might_alloc(GFP_KERNEL)  # the entry, before the spinlock of the store

    def insert(old: tuple[Entries, ...]) -> tuple[tuple[Entries, ...], tuple[Errno, str]]:
        found = {entry.type for entry in held + old[0] if entry.overlaps(start, end)}
        if len(found) > 1:
            return old, (-EBUSY, memtype)
        new = Memtype(start, end, found.pop() if found else memtype)
        return (tuple(sorted((*old[0], new))),), (0, new.type)

    reserved: tuple[Errno, str] = _step(
        store, "memtype_reserve", insert,
        lambda got: f"{start:x}..{end - 1:x} {got[1]}{', -EBUSY' if got[0] else ''}",
    )  # fmt: skip
    return reserved


def memtype_free(start: int, end: int) -> Errno:
    """Give one reservation back; -EINVAL if there is none of this range.

    A range that is the end of a longer one makes that one shorter.
    """

    def erase(old: tuple[Entries, ...]) -> tuple[tuple[Entries, ...], Errno]:
        entries = list(old[0])
        ends = [entry for entry in entries if entry.end == end]
        exact = next((entry for entry in ends if entry.start == start), None)
        longer = next((entry for entry in ends if entry.start < start), None)
        if exact is not None:
            entries.remove(exact)
        elif longer is not None:
            entries.remove(longer)
            entries.append(longer._replace(end=start))
        else:
            return old, -EINVAL
        return (tuple(sorted(entries)),), 0

    error: Errno = _step(
        running_memtypes(), "memtype_free", erase,
        lambda error: f"{start:x}..{end - 1:x}{', no such range' if error else ''}",
    )  # fmt: skip
    return error


def lookup_memtype(paddr: int) -> str:
    """The type of the page at a physical address: of the first entry that holds it."""
    store = running_memtypes()
    held = store.held_type(paddr)
    if held is not None:
        return held

    def find(old: tuple[Entries, ...]) -> tuple[tuple[Entries, ...], str]:
        page = (entry for entry in old[0] if entry.overlaps(paddr, paddr + PAGE_SIZE))
        return old, next((entry.type for entry in page), UNTRACKED)

    found: str = _step(store, "lookup_memtype", find, lambda found: f"{paddr:x} {found}")
    return found


def ioremap(start: int, size: int, memtype: str = "UC-") -> None:
    """A driver maps device memory for itself, and so reserves its type for good.

    Model: only while a scenario is set up; nothing is ever unmapped.
    """
    assert setting_up(), "ioremap() is for setting up"
    store = running_memtypes()
    store.held = tuple(sorted((*store.held, Memtype(start, start + size, memtype))))


def _step(store: MemtypeStore, verb: str, act: Any, detail: Any) -> Any:
    return atomically((MemtypeStore.entries.cell(store),), verb, act, detail=detail)
