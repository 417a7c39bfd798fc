"""TLBs: the translations that CPUs have cached, and their flush.

A task that runs in user space is a CPU; so is whatever touched memory while the scenario
was set up, and it goes on to run.  A translation stays usable until it is flushed, also
when its leaf has gone.

Drawn after arch/x86/mm/tlb.c: flush_tlb_mm_range().

Model: a flush is one step for all CPUs.  Between the interrupts of the kernel's some still
have the translation; but nobody goes on before the last one has lost it.

Model: a CPU loses a translation by a flush only, and caches none but of leaves that it
has used.  A real one may forget at any time, and walk ahead of time.

Model: only leaves are cached; so tables that are freed need no flush.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from pfnlab.engine.access import atomically
from pfnlab.engine.cell import Cell
from pfnlab.engine.current import running
from pfnlab.engine.task import Task
from pfnlab.kernel.geometry import PAGE_SIZE, Order
from pfnlab.kernel.vma import Mm


class Mapped(Protocol):
    """What a translation comes from: a leaf, see pagetable.py."""

    @property
    def order(self) -> Order: ...
    @property
    def addr(self) -> int: ...
    @property
    def pfn(self) -> int: ...


class Translation(NamedTuple):
    """What a CPU has cached: a leaf as it was when the CPU walked."""

    cpu: str
    leaf: Mapped

    @property
    def end(self) -> int:
        return self.leaf.addr + (PAGE_SIZE << self.leaf.order)

    def covers(self, start: int, end: int) -> bool:
        """Whether it translates an address of [start, end)."""
        return self.leaf.addr < end and start < self.end

    def __str__(self) -> str:
        return f"{self.cpu}: {self.leaf}"


Tlb = tuple[Translation, ...] | None  # None: nothing was ever cached


def tlb_of(mm: Mm, cpu: Task) -> Cell:
    """The word that holds what a CPU has cached of an mm."""
    return mm.tlbs.cell(cpu.index, f"{mm} TLB of {cpu_name(cpu)}")


def cpu_name(cpu: Task) -> str:
    """The name of the task; what ran while the scenario was set up is a CPU, too."""
    return cpu.name if cpu.index >= 0 else "an earlier CPU"


def tlbs_of(mm: Mm) -> tuple[Cell, ...]:
    """The words of all CPUs, for a step that flushes."""
    execution, _task = running()
    return tuple(tlb_of(mm, cpu) for cpu in (execution.setup, *execution.program.tasks))


def cached(tlb: Tlb, address: int) -> Translation | None:
    return next((seen for seen in tlb or () if seen.covers(address, address + 1)), None)


def flushed(tlbs: Sequence[Tlb], start: int, end: int) -> tuple[Tlb, ...]:
    """TLBs without the translations of a range: what a step that flushes writes."""
    return tuple(tlb and tuple(seen for seen in tlb if not seen.covers(start, end)) for tlb in tlbs)


def flush_tlb_mm_range(mm: Mm, start: int, end: int) -> None:
    """Every CPU forgets what it has cached of a range.  One step."""
    atomically(
        tlbs_of(mm), "flush", lambda old: (flushed(old, start, end), None),
        detail=lambda _: f"{start:x}..{end - 1:x}",
    )  # fmt: skip


def translations_of(mm: Mm) -> list[Translation]:
    """All that is cached of an mm: for rules, which look without making steps."""
    tlbs: list[Any] = mm.tlbs.values()
    return [seen for tlb in tlbs for seen in tlb or ()]
