"""Moving leaves to other addresses of the same mm, as mremap() does.

Drawn after mm/mremap.c: move_page_tables() and below.
"""

from typing import Any

from pfnlab.engine.access import atomically
from pfnlab.engine.step import violate
from pfnlab.kernel.geometry import (
    PAGE_SIZE,
    PMD_ORDER,
    PTE_ORDER,
    PUD_ORDER,
    Order,
    pmd_addr_end,
)
from pfnlab.kernel.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pfnlab.kernel.pagetable import TABLE, Leaf, Slot, slot_of
from pfnlab.kernel.rule import contract
from pfnlab.kernel.tlb import flushed, tlbs_of
from pfnlab.kernel.vma import Mm, Vma, held_for

Place = tuple[Order, int]  # a level, and which of its entries

MOVED_UNDER_WRITE_LOCK = contract(
    "R21",
    "leaves_moved_under_write_lock",
    "Leaves may be moved only with mmap_lock held for write.",
    "Documentation/mm/process_addrs.rst, v6.14; mm/mremap.c: move_page_tables()",
)


def move_page_tables(
    vma: Vma, old_addr: int, new_vma: Vma, new_addr: int, length: int, need_rmap_locks: bool
) -> int:
    """Move the leaves of [old_addr, old_addr + length) to new_addr; returns the length.

    Both VMAs are linked, so whoever zaps through i_mmap while this runs finds each leaf at
    one place or at the other.

    Model: memory does not run out, so all of it is moved; `need_rmap_locks` is never true,
    as no VMA of a pfn mapping is merged (see copy_vma()).
    """
    mm: Mm = vma.vm_mm
    if held_for(mm.mmap_lock) != "write":
        violate(MOVED_UNDER_WRITE_LOCK, f"{mm}.mmap_lock is not held for write.")
    mmu_notifier_invalidate_range_start(mm, old_addr, old_addr + length)
    done = 0
    while done < length:
        extent = get_extent(old_addr + done, new_addr + done, length - done)
        move_extent(mm, old_addr + done, new_addr + done, extent, length - done)
        done += extent
    mmu_notifier_invalidate_range_end(mm, old_addr, old_addr + length)
    return length


def get_extent(old_addr: int, new_addr: int, left: int) -> int:
    """Bytes up to the end of a PMD, of the old or of the new place."""
    old_end, new_end = old_addr + left, new_addr + left
    return min(
        pmd_addr_end(old_addr, old_end) - old_addr, pmd_addr_end(new_addr, new_end) - new_addr
    )


def move_extent(mm: Mm, old_addr: int, new_addr: int, extent: int, left: int) -> None:
    """Move what one PMD maps, in one hold of both page-table locks.

    A large leaf moves as it is if it fits at both places.  If it does not, it is cleared:
    a pfn mapping cannot be split, and a fault brings its pages back (R24).  The flush of
    the TLBs comes before the locks are released.
    """
    pages = range(0, extent, PAGE_SIZE)
    old_places = [(PUD_ORDER, old_addr), (PMD_ORDER, old_addr)]
    old_places += [(PTE_ORDER, old_addr + page) for page in pages]
    new_places = [(order, address - old_addr + new_addr) for order, address in old_places]
    cells = {place_of(order, at): slot_of(mm, order, at) for order, at in old_places + new_places}
    cached = tlbs_of(mm)

    def move(old: tuple[Any, ...]) -> tuple[tuple[Any, ...], int]:
        slots: dict[Place, Slot] = dict(zip(cells, old[: len(cells)], strict=True))
        tlbs = old[len(cells) :]
        moved = 0
        for order, address in old_places:
            leaf = slots[place_of(order, address)]
            if not isinstance(leaf, Leaf):
                continue
            slots[place_of(order, address)] = None
            tlbs = flushed(tlbs, leaf.addr, leaf.addr + (PAGE_SIZE << leaf.order))
            if fits(order, old_addr, new_addr, left):
                moved += 1
                put(slots, leaf._replace(addr=leaf.addr - old_addr + new_addr))
        return (*slots.values(), *tlbs), moved

    atomically(
        (*cells.values(), *cached), "move", move,
        detail=lambda moved: f"{old_addr:x}..{old_addr + extent - 1:x} to {new_addr:x}, "
        f"{moved} {'leaf' if moved == 1 else 'leaves'}",
    )  # fmt: skip


def fits(order: Order, old_addr: int, new_addr: int, left: int) -> bool:
    size = PAGE_SIZE << order
    return (old_addr % size == 0 and new_addr % size == 0 and left >= size) or order == PTE_ORDER


def place_of(order: Order, address: int) -> Place:
    return order, address // (PAGE_SIZE << order)


def put(slots: dict[Place, Slot], leaf: Leaf) -> None:
    """Enter a leaf, with the tables above it."""
    for order in (PUD_ORDER, PMD_ORDER):
        if order > leaf.order:
            slots[place_of(order, leaf.addr)] = TABLE
    slots[place_of(leaf.order, leaf.addr)] = leaf
