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
from pfnlab.kernel.geometry import PAGE_SIZE, align_down
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
    """

    start: int
    end: int
    level: int
    leaves: int
    why: Why
    edge: int = 0


@dataclass(frozen=True)
class Explanation:
    """`best` is the address that gives the most, and `best_cost` what it would cost there.

    `hole` is a part of the BAR, from, up to, that cannot be mapped.  A cost is that of the
    window alone.
    """

    window: Window
    setting: Setting
    ranges: tuple[Range, ...]
    cost: Cost
    best: int
    best_cost: Cost
    hole: tuple[int, int] | None = None


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
    best = best_address(window.size, window.offset, bar.address or 0)
    alone = Workload(bar, (window,), touches[:1])
    moved = Workload(bar, (replace(window, address=best),), touches[:1])
    return Explanation(
        window,
        setting,
        tuple(merged(list(ranges_of(workload, setting)))),
        cost(alone, setting),
        best,
        cost(moved, setting),
        hole,
    )


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
        level = leaf_level(run, at, layout)
        why, edge = reason(run, setting, small, at, level, layout)
        real_edge = {"starts": window.address, "ends": window.end}.get(why, edge)
        leaves = (end - start) // (PAGE_SIZE * (1, shape.pmd, shape.pud)[max(level, 0)])
        yield Range(start, end, level, leaves if level >= 0 else 0, why, real_edge)


def leaf_level(run: Run, address: int, layout: Layout) -> int:
    """The level of the leaf at an address, or -1."""
    mm = run.mappings[-1].mm
    slots = known_words(mm, "slots")
    for level, entry in ((2, "pud"), (1, "pmd"), (0, "pte")):
        number = address // (PAGE_SIZE << layout.geometry.shifts[level])
        slot = slots.get((entry, number))
        if slot is not None and isinstance(slot.value, Leaf):
            return level
    return -1


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


def merged(ranges: list[Range]) -> Iterator[Range]:
    """Neighbours that are alike are one."""
    last: Range | None = None
    for part in ranges:
        alike = last is not None and (last.level, last.why) == (part.level, part.why)
        if last is not None and alike:
            last = Range(
                last.start, part.end, last.level, last.leaves + part.leaves, last.why, last.edge
            )
        else:
            if last is not None:
                yield last
            last = part
    if last is not None:
        yield last
