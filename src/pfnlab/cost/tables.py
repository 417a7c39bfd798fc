"""Page tables: those that a simulation has, and those of PUDs above them.

The model's tables end with the PUD.  There is one table of PUDs in 512 GiB, and it is known
from which slots of it were ever used.
"""

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from itertools import cycle

from pfnlab.cost.shape import FOLDED_ADDRESS, Layout, Shape
from pfnlab.engine.word import known_words
from pfnlab.kernel.geometry import ORDERS, PAGE_SIZE, PUD_ORDER, REAL
from pfnlab.kernel.pagetable import TABLE, Leaf
from pfnlab.kernel.vma import Mm
from pfnlab.workload import Mremap, Munmap, Window, Workload

FIRST_PAGE = FOLDED_ADDRESS // PAGE_SIZE
PUD_SIZE = PAGE_SIZE << REAL.shifts[2]
PUD_TABLE = PUD_SIZE << 9  # bytes that a table of PUDs maps

UsedTables = tuple[set[int], set[int]]  # numbers of tables of PUDs: of a process, of its child


def state_of(mm: Mm) -> Counter[str]:
    """Leaves and tables by level."""
    state: Counter[str] = Counter()
    for level, _index, value in slots_of(mm):
        if isinstance(value, Leaf):
            state[f"leaves {level}"] += 1
        elif value == TABLE:
            below = ORDERS[next(order.level for order in ORDERS if order.entry == level) - 1]
            state[f"tables {below.entry}"] += 1
    return state


def slots_of(mm: Mm, only: str = "") -> Iterator[tuple[str, int, object]]:
    """The slots that somebody has looked at: level, number, and what is in it."""
    for (level, index), cell in known_words(mm, "slots").items():
        if only in ("", level):
            yield level, index, cell.value


def pud_slots(mm: Mm) -> dict[int, object]:
    return {index: value for _, index, value in slots_of(mm, PUD_ORDER.entry)}


def used_puds(mm: Mm) -> set[int]:
    return {index for index, value in pud_slots(mm).items() if value is not None}


def pud_table_counts(
    workload: Workload, used: Sequence[Sequence[UsedTables]]
) -> Iterator[list[dict[str, int]]]:
    """How many there are at each moment of each step, of those that were ever used until then.

    A table is there as long as a window is mapped in its 512 GiB.  The child unmaps nothing.
    """
    windows = dict(enumerate(workload.windows))
    for place, moments in enumerate(used):
        actions = cycle((place and workload.steps[place - 1].actions) or (None,))
        found = []
        for (tables, child_tables), action in zip(moments, actions, strict=False):
            if isinstance(action, Munmap):
                windows.pop(action.window, None)
            elif isinstance(action, Mremap) and action.window in windows:
                moved = replace(windows[action.window], address=action.address)
                windows[action.window] = moved
            kept = tables & {table for window in windows.values() for table in tables_over(window)}
            counts = {"tables pud": len(kept), "child tables pud": len(child_tables)}
            found.append({name: count for name, count in counts.items() if count})
        yield found


def tables_over(window: Window) -> range:
    """The tables of PUDs that map the addresses of a window."""
    return range(window.address // PUD_TABLE, (window.end - 1) // PUD_TABLE + 1)


def tables_of(puds: Collection[int]) -> set[int]:
    """The tables of PUDs that have these slots."""
    return {pud * PUD_SIZE // PUD_TABLE for pud in puds}


def tables_of_sample(shape: Shape, layout: Layout, puds: Collection[int]) -> set[int]:
    """The tables that the slots of a sample stand for, in the real mapping."""
    pud = 1 << layout.geometry.shifts[2]
    base = FIRST_PAGE // pud
    found: set[int] = set()
    span = shape.pud << shape.geometry.shifts[1]
    for run, at in zip(shape.runs, layout.starts, strict=True):
        if base + at // pud in puds:
            size = run.count * (1, shape.pmd, shape.pud)[run.level]
            found |= set(range(run.start // span, (run.start + size - 1) // span + 1))
    return found
