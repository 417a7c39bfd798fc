"""Why a part of a mapping has the leaves it has, and not larger ones.

The mapping is touched in a small layout of its shape.  What the design was asked, and what
it refused, is seen there; so the core of mm and the design each say no by themselves, and
here it is only told what for.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from pfnlab.cost.address import best_address
from pfnlab.cost.estimate import Cost, cost, make_plan
from pfnlab.cost.shape import FOLDED_ADDRESS, Layout, Shape
from pfnlab.cost.simulate import Run, Setting
from pfnlab.engine.word import known_words
from pfnlab.kernel.geometry import PAGE_SIZE, GiB, align_down
from pfnlab.kernel.pagetable import Leaf
from pfnlab.workload import Bar, Step, Touch, Window, Workload

Why = Literal["", "design", "nohugepage", "policy", "table", "starts", "ends", "alignment",
              "refused", "nothing"]  # fmt: skip


@dataclass(frozen=True)
class Range:
    """A part of the mapping whose leaves are alike.

    level  of its leaves: 0 for 4 KiB, 1 for 2 MiB, 2 for 1 GiB; -1 if it has none
    why    the first reason why they are not one level higher
    edge   the address that the reason is about: of the end of the window in the slot
    wrong  they map other pages of the device than those asked for
    """

    start: int
    end: int
    level: int
    leaves: int
    why: Why
    edge: int = 0
    wrong: bool = False


@dataclass(frozen=True)
class Explanation:
    """A cost is that of the window alone.

    allowed    what it would cost here if the THP policy did not stand in the way, if it does
    best       the address that can give the most; `best_cost` is of there, also by that policy
    hole       a part of the BAR, from, up to, that cannot be mapped
    """

    window: Window
    setting: Setting
    ranges: tuple[Range, ...]
    cost: Cost
    allowed: Cost | None
    best: int
    best_cost: Cost
    hole: tuple[int, int] | None = None

    @property
    def elsewhere_is_better(self) -> bool:
        """Some design has more at another address, and the wrong pages: that is not better."""
        here = self.allowed or self.cost
        if any(part.wrong for part in self.ranges):
            return self.window.address != self.best
        return entries_of(self.best_cost) < entries_of(here)


def entries_of(cost: Cost) -> tuple[int, int]:
    """Leaves, of which fewer are larger, and then tables."""
    last = cost.steps[-1]
    return sum(last.state.get(f"leaves {name}", 0) for name in ("pte", "pmd", "pud")), last.tables


def explain(
    bar: Bar,
    window: Window,
    setting: Setting,
    before: tuple[Window, ...] = (),
    hole: tuple[int, int] | None = None,
) -> Explanation:
    """Windows in `before` are of the same BAR, and were touched already."""
    touches = tuple(Step(f"touch {index}", (Touch(index),)) for index in range(len(before) + 1))
    workload = Workload(bar, (*before, window), touches)
    alone = Workload(bar, (window,), touches[:1])
    ranges = tuple(merged(list(ranges_of(workload, setting))))
    refused = any(part.why == "policy" for part in ranges)
    allowed = replace(setting, thp="always") if refused else setting
    moved = best_place(alone, allowed)
    return Explanation(
        window,
        setting,
        ranges,
        cost(alone, setting),
        cost(alone, allowed) if refused else None,
        moved.windows[0].address,
        cost(moved, allowed),
        hole,
    )


def best_place(workload: Workload, setting: Setting) -> Workload:
    """A window where it gets the most, of what it asks for; where it is, if that is nowhere.

    A design that trusts the address alone needs one that agrees modulo 1 GiB also if no leaf can
    be as large.
    """
    (window,), bar = workload.windows, workload.bar.address or 0
    best = best_address(window.size, window.offset, bar)
    for address in (best, align_down(best, GiB) + (bar + window.offset) % GiB):
        moved = replace(workload, windows=(replace(window, address=address),))
        if not any(part.wrong for part in ranges_of(moved, setting)):
            return moved
    return workload


def ranges_of(workload: Workload, setting: Setting) -> Iterator[Range]:
    """One for each run of the last window."""
    shape = Shape(workload)
    layout = make_plan(shape).layouts[0]
    folded = shape.folded(layout)
    run = Run(folded, setting, layout.geometry)
    window, small = workload.windows[-1], folded.windows[-1]
    for index, entries in enumerate(shape.runs):
        start = entries.start * PAGE_SIZE
        if not window.address <= start < window.end:
            continue
        size = PAGE_SIZE * (1, shape.pmd, shape.pud)[entries.level]
        end = start + entries.count * size
        at = FOLDED_ADDRESS + layout.starts[index] * PAGE_SIZE
        leaf = leaf_at(run, at, layout)
        level = -1 if leaf is None else leaf.order.level
        why, edge = reason(run, setting, small, at, level, layout)
        real_edge = {"starts": window.address, "ends": window.end}.get(why, edge)
        leaves = (end - start) // (PAGE_SIZE * (1, shape.pmd, shape.pud)[max(level, 0)])
        wrong = leaf is not None and leaf.pfn != pfn_of(run, leaf.addr)
        yield Range(start, end, level, leaves if level >= 0 else 0, why, real_edge, wrong)


def pfn_of(run: Run, address: int) -> int:
    """The page of the BAR that an address of the last window is to show."""
    bar, window = run.workload.bar.address or 0, run.workload.windows[-1]
    return (bar + window.offset + address - window.address) // PAGE_SIZE


def leaf_at(run: Run, address: int, layout: Layout) -> Leaf | None:
    mm = run.mappings[-1].mm
    slots = known_words(mm, "slots")
    for level, entry in ((2, "pud"), (1, "pmd"), (0, "pte")):
        number = address // (PAGE_SIZE << layout.geometry.shifts[level])
        slot = slots.get((entry, number))
        if slot is not None and isinstance(slot.value, Leaf):
            return slot.value
    return None


def reason(
    run: Run, setting: Setting, window: Window, address: int, level: int, layout: Layout
) -> tuple[Why, int]:
    """The first that stands in the way of the next level."""
    if level in (-1, 2):
        return ("nothing" if level < 0 else ""), 0
    if setting.design.vm_ops.huge_fault is None:
        return "design", 0
    if window.advice == "nohugepage":
        return "nohugepage", 0
    gate = setting.kernel.thp_gate and setting.thp != "always"
    if gate and not (setting.thp == "madvise" and window.advice == "hugepage"):
        return "policy", 0
    size = PAGE_SIZE << layout.geometry.shifts[level + 1]
    slot = align_down(address, size)
    # An edge says no in any state of the slot, so it comes before a table that is there.
    if slot < window.address:
        return "starts", window.address
    if slot + size > window.end:
        return "ends", window.end
    if (level + 1, slot, window.address) not in run.lab.refused:
        return "table", 0
    bar = run.workload.bar.address or 0
    if (bar + window.offset - window.address) % size:
        return "alignment", 0
    return "refused", 0


def alike(one: Range, other: Range) -> bool:
    return (one.level, one.why, one.wrong) == (other.level, other.why, other.wrong)


def merged(ranges: list[Range]) -> Iterator[Range]:
    """Neighbours that are alike are one."""
    last: Range | None = None
    for part in ranges:
        if last is not None and alike(last, part):
            last = replace(last, end=part.end, leaves=last.leaves + part.leaves)
        else:
            if last is not None:
                yield last
            last = part
    if last is not None:
        yield last
