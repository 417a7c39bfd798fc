"""Page tables: leaves at PTE, PMD and PUD level, and the steps that change them.

A *leaf* is a present entry at any level.  A slot of a table is None, TABLE or a Leaf;
slots are atomic words of the mm.  What the kernel does in one hold of a page-table lock
is one step here.

Model: a walk through all levels is one step.  The kernel reads level by level; as every
change tests the slot again under its lock, only the decision which level to try can
differ, and that is taken again by whoever changes the slot.
"""

from typing import Any, NamedTuple

from pfnlab.engine.access import atomically
from pfnlab.engine.cell import Cell
from pfnlab.engine.current import running
from pfnlab.engine.step import violate
from pfnlab.kernel.geometry import (
    PAGE_SIZE,
    PMD_ORDER,
    PTE_ORDER,
    PUD_ORDER,
    Order,
    align_down,
    pmd_addr_end,
)
from pfnlab.kernel.mmu_gather import (
    MmuGather,
    counter_to_raise,
    tlb_end_vma,
    tlb_remove_tlb_entry,
    tlb_start_vma,
)
from pfnlab.kernel.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from pfnlab.kernel.rule import LeafRule, contract
from pfnlab.kernel.tlb import flushed, tlbs_of
from pfnlab.kernel.vma import Mm, Vma, held_for

TABLE = "table"  # a slot that points to a table of the next level

PTES_NEED_MMAP_LOCK = contract(
    "R14",
    "leaf_installed_under_mmap_lock",
    "A leaf may be installed only with mmap_lock held; the rmap lock is not enough.",
    "Documentation/mm/process_addrs.rst, v6.14",
)


class Leaf(NamedTuple):
    """A present entry.  `addr` is the first address it maps, `pfn` the first page."""

    order: Order
    addr: int
    pfn: int
    prot: str

    def __str__(self) -> str:
        return f"{self.order.entry} {self.addr:x} -> pfn {self.pfn:x}"


Slot = Leaf | str | None


class Walk(NamedTuple):
    """What a walk found: one slot per level, None below a slot that is no table."""

    pud: Slot
    pmd: Slot
    pte: Slot

    @property
    def leaf(self) -> Leaf | None:
        return next((slot for slot in self if isinstance(slot, Leaf)), None)

    def __str__(self) -> str:
        if self.leaf is not None:
            return str(self.leaf)
        level = PTE_ORDER if self.pmd == TABLE else PMD_ORDER if self.pud == TABLE else PUD_ORDER
        return f"{level.entry} none"


def slot_of(mm: Mm, order: Order, address: int) -> Cell:
    """The word that holds the entry for an address at a level."""
    index = address // (PAGE_SIZE << order)
    start = index * (PAGE_SIZE << order)
    return mm.slots.cell((order.entry, index), f"{mm.name} {order.entry} {start:x}")


def path_of(mm: Mm, address: int) -> tuple[Cell, Cell, Cell]:
    """The words that a walk may have to read."""
    return (
        slot_of(mm, PUD_ORDER, address),
        slot_of(mm, PMD_ORDER, address),
        slot_of(mm, PTE_ORDER, address),
    )


def walked(slots: tuple[Any, ...]) -> Walk:
    """What a walk finds, given the slots of path_of()."""
    pud, pmd, pte = slots[:3]
    if pud != TABLE:
        return Walk(pud, None, None)
    return Walk(pud, pmd, pte if pmd == TABLE else None)


def walk(mm: Mm, address: int, verb: str = "walk") -> Walk:
    """Look an address up, as the hardware or a software walk does.  One step."""
    found: Walk = atomically(
        path_of(mm, address), verb, lambda old: (old, walked(old)),
        detail=lambda found: f"{address:x}: {found}",
    )  # fmt: skip
    return found


def pmd_alloc(mm: Mm, address: int) -> Walk:
    """Make sure that the PUD slot holds a table, unless a leaf was faster.  One step."""

    def allocate(old: tuple[Slot, ...]) -> tuple[tuple[Slot, ...], Walk]:
        new = (TABLE if old[0] is None else old[0], *old[1:])
        return new, walked(new)

    found: Walk = atomically(
        path_of(mm, address), "pmd_alloc", allocate, detail=lambda found: f"{address:x}: {found}"
    )
    return found


def check_leaves(vma: Vma, leaves: list[Leaf]) -> None:
    """What must hold for leaves at the moment they are installed, all in one step."""
    execution, task = running()
    mm = vma.vm_mm
    if not held_for(mm.mmap_lock) and not held_for(vma.vm_lock.vm_lock):
        violate(
            PTES_NEED_MMAP_LOCK,
            f"{task.name} installs {leaves[0]} without {mm.name}.mmap_lock.",
            call=f"set_{leaves[0]}",
        )
    rules: list[LeafRule] = getattr(execution.program, "leaf_rules", [])
    for leaf in leaves if rules else ():
        for rule in rules:
            evidence = tuple(str(item) for item in rule.check(execution.program, vma, leaf))
            if evidence:
                violate(rule.rule, *evidence, call=f"set_{leaf}")


def set_leaf(vma: Vma, leaf: Leaf) -> Slot:
    """Install a leaf if its slot is none, allocating the tables above it.

    One hold of the page-table lock.  If the slot is taken, or a leaf is in one above it, nothing
    changes, and that is returned.
    """
    check_leaves(vma, [leaf])
    path = path_of(vma.vm_mm, leaf.addr)
    depth = 2 - leaf.order.level

    def install(old: tuple[Slot, ...]) -> tuple[tuple[Slot, ...], Slot]:
        above = next((slot for slot in old[:depth] if isinstance(slot, Leaf)), None)
        taken = above or old[depth]
        return (old, taken) if taken is not None else ((*[TABLE] * depth, leaf), None)

    def detail(taken: Slot) -> str:
        above = isinstance(taken, Leaf) and taken.order > leaf.order
        why = f", {taken} is there" if above else ", slot taken" if taken is not None else ""
        return f"{leaf.addr:x} -> {leaf.pfn:x}{why}"

    taken: Slot = atomically(path[: depth + 1], f"set_{leaf.order.entry}", install, detail=detail)
    return taken


def set_ptes(vma: Vma, leaves: list[Leaf]) -> Leaf | None:
    """Install PTEs of one table, all in one hold of its lock.

    Returns the first leaf that was in the way already (the rest is installed all the
    same), or None.
    """
    check_leaves(vma, leaves)
    mm = vma.vm_mm
    pud, pmd, _pte = path_of(mm, leaves[0].addr)
    slots = [slot_of(mm, PTE_ORDER, leaf.addr) for leaf in leaves]

    def install(old: tuple[Slot, ...]) -> tuple[tuple[Slot, ...], Leaf | None]:
        taken = [slot for slot in old if isinstance(slot, Leaf)]
        if taken and (isinstance(old[0], Leaf) or isinstance(old[1], Leaf)):
            return old, taken[0]
        return (TABLE, TABLE, *leaves), taken[0] if taken else None

    first, last = leaves[0], leaves[-1]
    taken: Leaf | None = atomically(
        (pud, pmd, *slots), "set_ptes", install,
        detail=lambda _: f"{first.addr:x}..{last.addr:x} -> {first.pfn:x}..{last.pfn:x}",
    )  # fmt: skip
    return taken


def clear_leaves(old: tuple[Slot, ...]) -> tuple[tuple[Slot, ...], int]:
    """The slots without their leaves, and how many there were."""
    new = tuple(None if isinstance(slot, Leaf) else slot for slot in old)
    return new, sum(isinstance(slot, Leaf) for slot in old)


def zap_range(tlb: MmuGather, vma: Vma, start: int, end: int) -> None:
    """Clear every leaf in a range, a PMD's worth of addresses at a time.

    A larger leaf that reaches into the range goes as a whole (R24).  The caller holds
    mmap_lock or the rmap lock, and flushes.  Tables stay: only munmap frees them.

    Model: what is cut is flushed with the rest; the kernel does it under the page-table lock.
    """
    mm = vma.vm_mm
    address = start
    while address < end:
        stop = pmd_addr_end(address, end)
        pud, pmd, _pte = path_of(mm, address)
        ptes = [slot_of(mm, PTE_ORDER, page) for page in range(address, stop, PAGE_SIZE)]

        pending = counter_to_raise(tlb)

        def clear(
            old: tuple[Any, ...], counted: int = len(pending)
        ) -> tuple[tuple[Any, ...], tuple[Leaf, ...]]:
            slots = old[counted:]
            raised = tuple(count + 1 for count in old[:counted])
            leaves = tuple(slot for slot in slots if isinstance(slot, Leaf))
            return (*raised, *clear_leaves(slots)[0]), leaves

        def detail(cleared: tuple[Leaf, ...], address: int = address, stop: int = stop) -> str:
            leaves = f"{len(cleared)} {'leaf' if len(cleared) == 1 else 'leaves'}"
            return f"{address:x}..{stop - 1:x}, {leaves}"

        for leaf in atomically((*pending, pud, pmd, *ptes), "zap", clear, detail=detail):
            tlb_remove_tlb_entry(tlb, leaf.order, leaf.addr)
        address = stop


def free_pgd_range(mm: Mm, addr: int, end: int, floor: int, ceiling: int) -> None:
    """Free the tables of a range that is empty and unlinked, and that nobody else needs.

    A table goes if all that it can map lies in [floor, ceiling), which is as far as no
    other VMA reaches.  One step, though the kernel takes a lock for each table: nobody
    else can get there.
    """
    places = [
        (order, at)
        for order in (PUD_ORDER, PMD_ORDER)
        for at in range(align_down(addr, PAGE_SIZE << order), end, PAGE_SIZE << order)
        if floor <= at and at + (PAGE_SIZE << order) <= ceiling
    ]
    if not places:
        return

    def release(old: tuple[Slot, ...]) -> tuple[tuple[Slot, ...], int]:
        new = tuple(None if slot == TABLE else slot for slot in old)
        return new, sum(slot == TABLE for slot in old)

    atomically(
        tuple(slot_of(mm, order, at) for order, at in places), "free_tables", release,
        detail=lambda freed: f"{addr:x}..{end - 1:x}, {freed} of {len(places)}",
    )  # fmt: skip


def change_protection(tlb: MmuGather, vma: Vma, start: int, end: int) -> None:
    """Make the leaves of a range agree with what the VMA allows now.

    Subscribers hear of the whole range, and a large leaf that it cuts is cleared (R24).

    Model: a leaf does not say what an access may do.  So nothing is gathered to be flushed, and
    an access by a leaf that is there goes on, also under PROT_NONE: only a fault asks the VMA.
    """
    tlb_start_vma(tlb, vma)
    mmu_notifier_invalidate_range_start(vma.vm_mm, start, end)
    for edge in (start, end):
        if edge % (PAGE_SIZE << PUD_ORDER):
            zap_huge_leaf_across(vma.vm_mm, edge)
    mmu_notifier_invalidate_range_end(vma.vm_mm, start, end)
    tlb_end_vma(tlb, vma)


def zap_huge_leaf_across(mm: Mm, edge: int) -> None:
    """Clear a leaf that maps addresses on both sides of an edge, and flush.

    Subscribers hear of all that the leaf maps: __split_huge_pmd().  No fault can bring one
    meanwhile, as the caller holds mmap_lock and the lock of the VMA for write.
    """
    leaf = walk(mm, edge).leaf if mm.notifier_subscriptions else None
    if leaf is None:
        _zap_huge_leaf_across(mm, edge)
        return
    start, end = leaf.addr, leaf.addr + (PAGE_SIZE << leaf.order)
    mmu_notifier_invalidate_range_start(mm, start, end)
    _zap_huge_leaf_across(mm, edge)
    mmu_notifier_invalidate_range_end(mm, start, end)


def _zap_huge_leaf_across(mm: Mm, edge: int) -> None:
    """One step: the kernel flushes before it releases the page-table lock."""
    places = [(order, edge) for order in (PUD_ORDER, PMD_ORDER) if edge % (PAGE_SIZE << order)]

    def clear(old: tuple[Any, ...]) -> tuple[tuple[Any, ...], int]:
        slots, tlbs = old[: len(places)], old[len(places) :]
        left, cleared = clear_leaves(slots)
        for leaf in slots:
            if isinstance(leaf, Leaf):
                tlbs = flushed(tlbs, leaf.addr, leaf.addr + (PAGE_SIZE << leaf.order))
        return (*left, *tlbs), cleared

    atomically(
        (*(slot_of(mm, order, at) for order, at in places), *tlbs_of(mm)), "split", clear,
        detail=lambda cleared: f"{edge:x}, {cleared} {'leaf' if cleared == 1 else 'leaves'}",
    )  # fmt: skip


def leaves_of(mm: Mm) -> list[Leaf]:
    """Every leaf of an mm: for rules, which look without making steps."""
    return [slot for slot in mm.slots.values() if isinstance(slot, Leaf)]


__all__ = ["TABLE", "Leaf", "Slot", "Walk", "change_protection", "free_pgd_range", "leaves_of",
           "path_of", "pmd_alloc", "set_leaf", "set_ptes", "slot_of", "walk", "walked",
           "zap_huge_leaf_across", "zap_range"]  # fmt: skip
