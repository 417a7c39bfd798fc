"""The shape of a workload: where something changes, and the runs of alike entries in between.

A handler sees the edges of its VMA, the slot of the table that an address lies in, and how
address and pfn agree modulo the size of an entry.  Between two *cuts* (an edge of a window,
or of a range that is touched) nothing of this differs from one whole PUD to the next, from
one whole PMD to the next within a PUD, or from one page to the next within a PMD.  Such a
row of alike entries is a *run*.

The same shape can be laid out with other numbers: shorter runs, smaller tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PAGE_SIZE, REAL, Geometry
from pfnlab.workload import Bar, Touch, Window, Workload

FOLDED_ADDRESS = 0x7F0000000000  # aligned to every table of every geometry in use
FOLDED_BAR = 0x380000000000


@dataclass(frozen=True)
class Run:
    """`count` entries of a level (0: pages) from page `start` on; `mapped` by some window."""

    level: int
    start: int
    count: int
    mapped: bool

    @property
    def shortest(self) -> int:
        """One is a class of its own: its first entry is its last."""
        return min(self.count, 2) if self.mapped else 1

    @property
    def grows(self) -> bool:
        return self.mapped and self.count > 1


@dataclass(frozen=True)
class Layout:
    """How long the runs are in a geometry, and at which page each begins."""

    geometry: Geometry
    counts: tuple[int, ...]
    starts: tuple[int, ...]
    end: int


class Shape:
    """The runs of a workload, in the order of their addresses."""

    def __init__(self, workload: Workload, geometry: Geometry = REAL) -> None:
        self.workload = workload
        self.geometry = geometry
        self.pmd = 1 << geometry.shifts[1]  # pages in a PMD
        self.pud = 1 << geometry.shifts[2]
        cuts = sorted(set(cuts_of(workload)))
        first = cuts[0] // self.pud * self.pud
        last = -(-cuts[-1] // self.pud) * self.pud
        self.runs: list[Run] = []
        places = sorted({first, *cuts, last})
        for start, end in pairwise(places):
            self._split(start, end, is_mapped(workload, start))

    def _split(self, start: int, end: int, mapped: bool) -> None:
        while start < end:
            if start % self.pud == 0 and end - start >= self.pud:
                level, size = 2, self.pud
                stop = start + (end - start) // size * size
            elif start % self.pmd == 0 and end - start >= self.pmd:
                level, size = 1, self.pmd
                stop = min(end // size * size, (start // self.pud + 1) * self.pud)
            else:
                level, size = 0, 1
                stop = min(end, (start // self.pmd + 1) * self.pmd)
            self.runs.append(Run(level, start, (stop - start) // size, mapped))
            start = stop

    def real(self) -> Layout:
        """As it is."""
        starts = tuple(run.start for run in self.runs)
        last = self.runs[-1]
        size = (1, self.pmd, self.pud)[last.level]
        counts = tuple(run.count for run in self.runs)
        return Layout(self.geometry, counts, starts, last.start + last.count * size)

    def groups(self, size: int, level: int) -> list[list[int]]:
        """Indices of the runs below a level by the entry of that level that they lie in."""
        found: dict[int, list[int]] = {}
        for index, run in enumerate(self.runs):
            if run.level < level:
                found.setdefault(run.start // size, []).append(index)
        return list(found.values())

    def smallest(self) -> tuple[int, int]:
        """Shifts of the smallest tables of PTEs and of PMDs that the shape fits into."""
        ptes = [self._least(group, 0) for group in self.groups(self.pmd, 1)]
        pmds = [self._least(group, 1) for group in self.groups(self.pud, 2)]
        return (max([2, *ptes]) - 1).bit_length(), (max([2, *pmds]) - 1).bit_length()

    def _least(self, group: list[int], level: int) -> int:
        """Entries that the runs of one table need: those of a level, and tables below it."""
        own = sum(self.runs[index].shortest for index in group if self.runs[index].level == level)
        return own + len(
            {self.runs[i].start // self.pmd for i in group if self.runs[i].level < level}
        )

    def layout(self, geometry: Geometry, longer: Sequence[int] = ()) -> Layout | None:
        """The shape in another geometry, its shortest runs made `longer` by one for each time
        they are named; None if it does not fit.

        What is left of a table goes to a run in it that may have any length.
        """
        counts = [run.shortest for run in self.runs]
        for index in longer:
            counts[index] += 1
        ptes, pmds = 1 << geometry.shifts[1], 1 << geometry.shifts[2] - geometry.shifts[1]
        for level, room, groups in (
            (0, ptes, self.groups(self.pmd, 1)),
            (1, pmds, self.groups(self.pud, 2)),
        ):
            for group in groups:
                own = [index for index in group if self.runs[index].level == level]
                tables = {
                    self.runs[i].start // self.pmd for i in group if self.runs[i].level < level
                }
                left = room - len(tables) - sum(counts[index] for index in own)
                if left:
                    elastic = self._elastic(own)
                    if left < 0 or elastic is None:
                        return None
                    counts[elastic] += left
        return self._placed(geometry, counts)

    def _elastic(self, own: list[int]) -> int | None:
        gaps = [index for index in own if not self.runs[index].mapped]
        grows = [index for index in own if self.runs[index].grows]
        return next(iter(gaps or grows[::-1]), None)

    def _placed(self, geometry: Geometry, counts: list[int]) -> Layout:
        sizes = [1 << shift for shift in geometry.shifts]
        starts, at = [], 0
        for run, count in zip(self.runs, counts, strict=True):
            starts.append(at)
            at += count * sizes[run.level]
        return Layout(geometry, tuple(counts), tuple(starts), at)

    def features(self, layout: Layout) -> list[int]:
        """What counts may grow with, linearly: entries of the runs, and what lies below them.

        A gap has none: nothing happens in it.
        """
        ptes = 1 << layout.geometry.shifts[1]
        pmds = 1 << layout.geometry.shifts[2] - layout.geometry.shifts[1]
        found = [1]
        for run, count in zip(self.runs, layout.counts, strict=True):
            if run.mapped:
                below = (1,), (1, ptes), (1, pmds, pmds * ptes)
                found += [count * size for size in below[run.level]]
        return found

    def folded(self, layout: Layout) -> Workload:
        """The workload in a layout: its windows are where they agree as before."""
        places = {run.start: at for run, at in zip(self.runs, layout.starts, strict=True)}
        places[self.real().end] = layout.end
        where = [
            Window(
                size=(places[window.end // PAGE_SIZE] - places[window.address // PAGE_SIZE])
                * PAGE_SIZE,
                address=FOLDED_ADDRESS + places[window.address // PAGE_SIZE] * PAGE_SIZE,
                advice=window.advice,
            )
            for window in self.workload.windows
        ]  # fmt: skip
        pmd, pud = (PAGE_SIZE << shift for shift in layout.geometry.shifts[1:])
        room = -(-(layout.end + 2 * pud) * PAGE_SIZE // pud) * pud
        windows = []
        for index, (window, folded) in enumerate(zip(self.workload.windows, where, strict=True)):
            shift = (0, pmd, PAGE_SIZE, pmd + PAGE_SIZE)[disagreement(self.workload, window, self)]
            # Each window has a part of the BAR to itself.
            offset = index * room + (folded.address - FOLDED_ADDRESS) + shift
            windows.append(replace(folded, offset=offset))
        steps = tuple(
            replace(
                step,
                actions=tuple(
                    self._folded_touch(action, places) if isinstance(action, Touch) else action
                    for action in step.actions
                ),
            )
            for step in self.workload.steps
        )
        return Workload(Bar(len(windows) * room, FOLDED_BAR), tuple(windows), steps)

    def _folded_touch(self, touch: Touch, places: dict[int, int]) -> Touch:
        window = self.workload.windows[touch.window]
        base = places[window.address // PAGE_SIZE]
        start, end = touched(touch, window)
        return replace(
            touch,
            start=(places[start] - base) * PAGE_SIZE,
            end=(places[end] - base) * PAGE_SIZE,
        )


def touched(touch: Touch, window: Window) -> tuple[int, int]:
    """The pages of a process that a touch is about: from, up to."""
    end = window.size if touch.end is None else touch.end
    return (window.address + touch.start) // PAGE_SIZE, (window.address + end) // PAGE_SIZE


def cuts_of(workload: Workload) -> list[int]:
    """Pages at which something changes."""
    cuts = []
    for window in workload.windows:
        cuts += [window.address // PAGE_SIZE, window.end // PAGE_SIZE]
    for step in workload.steps:
        for action in step.actions:
            if isinstance(action, Touch):
                cuts += touched(action, workload.windows[action.window])
    return cuts


def is_mapped(workload: Workload, page: int) -> bool:
    return any(window.address <= page * PAGE_SIZE < window.end for window in workload.windows)


def disagreement(workload: Workload, window: Window, shape: Shape) -> int:
    """0 if address and pfn agree modulo a PUD, 1 if modulo a PMD only, else 2 or 3.

    3 is further apart than a PMD.  That matters to a design that maps large leaves all the
    same: what such a leaf drops of its pfn depends on its level then.
    """
    if workload.bar.address is None:
        raise ModelError("a workload that is counted has a physical address")
    apart = (workload.bar.address + window.offset - window.address) // PAGE_SIZE % shape.pud
    if apart == 0:
        return 0
    if apart % shape.pmd == 0:
        return 1
    return 2 if apart < shape.pmd else 3
