"""lockdep: the order in which classes of locks are taken.

A class is a field ("vma_lock"), not an object.  Holding one while taking another is an
edge.  A cycle is a finding even if no execution ever deadlocked on it.  Drawn after
kernel/locking/lockdep.c.

Model: only what can wait makes an edge, so a trylock adds none to the lock it takes; a
read lock counts like a write lock, as a writer that waits can stop a reader.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pfnlab.engine.execution import Execution
from pfnlab.engine.lock import Lock, PseudoLock
from pfnlab.engine.program import Found, Heard, Leftover
from pfnlab.engine.schedule import schedule_of
from pfnlab.engine.step import violate
from pfnlab.engine.task import Task
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma_lock import VMA_LOCK_CLASS

LOCK_ORDER = contract(
    "L2",
    "lock_order",
    "Locks are taken in a circle: two tasks can deadlock here.",
    "kernel/locking/lockdep.c: circular locking dependency",
)

DOCUMENTED_LOCK_ORDER = contract(
    "R12",
    "documented_lock_order",
    "Two locks are taken in the order opposite to the documented one.",
    "mm/rmap.c and mm/filemap.c: header comments; vfio_pci_core.c: comments on memory_lock",
)

NO_FS_RECLAIM_UNDER_I_MMAP = contract(
    "R13",
    "no_fs_reclaim_under_i_mmap",
    "An allocation under the rmap lock may enter reclaim, which takes the rmap lock of others.",
    "drivers/dma-buf/dma-resv.c: dma_resv_lockdep(), v6.12; mm/page_alloc.c: fs_reclaim_acquire()",
)

Edge = tuple[str, str]

FS_RECLAIM = "fs_reclaim"  # a class without a lock; see gfp.py
I_MMAP = "AddressSpace.i_mmap_rwsem"

# What every boot shows lockdep, in dma_resv_lockdep().
AT_BOOT: tuple[Edge, ...] = (
    ("Mm.mmap_lock", "DmaResv.lock"),
    ("DmaResv.lock", FS_RECLAIM),
    (FS_RECLAIM, I_MMAP),
)

# Outer lock, inner lock.  A lock of a design is in no such list.
DOCUMENTED: tuple[Edge, ...] = (
    ("VfioIommu.lock", "Mm.mmap_lock"),
    ("Mm.mmap_lock", "VfioPciDevice.memory_lock"),
    ("VfioDeviceSet.lock", "VfioPciDevice.memory_lock"),
    ("VfioPciDevice.memory_lock", "DmaResv.lock"),
    ("VfioPciDevice.memory_lock", I_MMAP),
    *AT_BOOT,
)


@dataclass(frozen=True, slots=True)
class Seen:
    """Where an edge was seen."""

    task: str
    held_since: int  # step that took the first lock
    event: int  # the last visible step of the task, with which the wait begins


class Acquire(NamedTuple):
    """A task takes a lock: the edges from what it holds, and since which step it does."""

    edges: tuple[tuple[Edge, int], ...]
    call: str


BOOT = Seen("dma_resv_lockdep()", 0, -1)


class Lockdep:
    """One order graph per execution, and one over all executions.

    What a scenario does before its tasks run, mmap() say, counts in every execution.
    """

    def __init__(self) -> None:
        self.ever: dict[Edge, tuple[Seen, str]] = {}  # and the schedule up to there
        self.setup: dict[Edge, Seen] = dict.fromkeys(AT_BOOT, BOOT)
        self.circular = False  # whether there is a circle in all that was ever seen

    def acquiring(
        self, task: Task, lock: Lock | PseudoLock, verb: str, mode: str, tried: bool, subclass: int
    ) -> Acquire | None:
        if tried or not task.held:
            return None
        edges: list[tuple[Edge, int]] = []
        for hold in task.held:
            assert isinstance(hold.lock, Lock)
            if hold.lock is lock and mode != "read":
                continue  # waiting for oneself is a deadlock, which the engine shows better
            if hold.lock.lock_class == VMA_LOCK_CLASS and hold.mode == "write":
                continue  # a VMA is only marked; who wants to read it does not wait for that
            nested = f"/{subclass}" if subclass else ""
            edge = (hold.lock.lock_class, lock.lock_class + nested)
            edges.append((edge, hold.step))
            if (lock.lock_class, hold.lock.lock_class) in ALWAYS:
                reclaim = edge == (I_MMAP, FS_RECLAIM)
                violate(
                    NO_FS_RECLAIM_UNDER_I_MMAP if reclaim else DOCUMENTED_LOCK_ORDER,
                    _line(edge, Seen(task.name, hold.step, -1)),
                    f"The order is {lock.lock_class} > {hold.lock.lock_class}.",
                    call=f"{verb}({lock.name})",
                )
        return Acquire(tuple(edges), f"{verb}({lock.name})") if edges else None

    def heard(self, heard: list[Heard], execution: Execution) -> Found | None:
        newest: Acquire = heard[-1].what
        setup = heard[-1].event < 0 and heard[-1].task == execution.setup.name
        for edge, since in newest.edges:
            seen = Seen(heard[-1].task, since, heard[-1].event)
            if setup:
                self.setup.setdefault(edge, seen)
            elif edge not in self.ever:
                self.ever[edge] = (seen, schedule_of(execution))
                graph = dict.fromkeys([*self.ever, *self.setup])
                self.circular = self.circular or bool(find_cycle(edge, graph))
        if not self.circular:
            return None
        now = dict(self.setup)
        for item in heard:
            for edge, since in item.what.edges:
                now.setdefault(edge, Seen(item.task, since, item.event))
                # Also where others have closed the circle before: who takes part in one must not
                # depend on who came first, as no order of events does.
                cycle = find_cycle(edge, now) if item is heard[-1] else []
                if cycle:
                    events = frozenset(now[part].event for part in cycle)
                    evidence = tuple(_line(part, now[part]) for part in cycle)
                    return Found(LOCK_ORDER, evidence, newest.call, events - {-1})
        return None

    def leftover(self) -> Leftover | None:
        graph = self.setup | {edge: seen for edge, (seen, _schedule) in self.ever.items()}
        for edge in self.ever:
            cycle = find_cycle(edge, graph)
            if cycle:
                return Leftover(
                    LOCK_ORDER,
                    tuple(_line(part, graph[part]) for part in cycle),
                    tuple(self.ever[part][1] for part in cycle if part in self.ever),
                )
        return None

    def memory(self) -> list[Any]:
        return [
            [*edge, seen.task, seen.held_since, seen.event, schedule]
            for edge, (seen, schedule) in self.ever.items()
        ]

    def remember(self, memory: list[Any]) -> None:
        for outer, inner, task, since, event, schedule in memory:
            edge = (outer, inner)
            if edge not in self.ever:
                self.ever[edge] = (Seen(task, since, event), schedule)
                graph = dict.fromkeys([*self.ever, *self.setup])
                self.circular = self.circular or bool(find_cycle(edge, graph))


def closure(edges: tuple[Edge, ...]) -> frozenset[Edge]:
    """The order with all that follows from it."""
    found = set(edges)
    while True:
        more = {(a, d) for a, b in found for c, d in found if b == c} - found
        if not more:
            return frozenset(found)
        found |= more


ALWAYS = closure(DOCUMENTED)


def _line(edge: Edge, seen: Seen) -> str:
    if seen is BOOT:
        return f"{edge[0]} > {edge[1]}: {seen.task} shows it at every boot."
    return (
        f"{edge[0]} > {edge[1]}: {seen.task} takes {edge[1]} "
        f"while it holds {edge[0]} (step {seen.held_since})."
    )


def find_cycle(edge: Edge, graph: Iterable[Edge]) -> list[Edge]:
    """The shortest circle of edges through a given one; empty if there is none."""
    start, end = edge
    paths: dict[str, list[Edge]] = {end: []}
    queue = [end]
    while queue:
        place = queue.pop(0)
        if place == start:
            return [edge, *paths[place]]
        for before, after in graph:
            if before == place and after not in paths:
                paths[after] = [*paths[place], (before, after)]
                queue.append(after)
    return []
