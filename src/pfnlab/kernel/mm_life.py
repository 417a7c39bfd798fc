"""The life of an mm: who uses it, who keeps the struct, and its end.

Drawn after include/linux/sched/mm.h and kernel/fork.c.
"""

from pfnlab.engine.access import look_at_all
from pfnlab.engine.shared import free
from pfnlab.engine.step import violate
from pfnlab.kernel.exit import exit_mmap
from pfnlab.kernel.pagetable import Leaf, Slot
from pfnlab.kernel.refcount import count
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import Mm

CHECK_MM = contract(
    "R22",
    "no_leaf_outlives_its_mm",
    "An mm is freed with a leaf in its page table: somebody added it after exit_mmap() had zapped.",
    "kernel/fork.c: check_mm(), non-zero pgtables_bytes on freeing mm",
)


def mmget(mm: Mm) -> None:
    """One more user.  The caller is one already."""
    count(mm, Mm.mm_users, "mmget", lambda users: users + 1)


def mmget_not_zero(mm: Mm) -> bool:
    """One more user, unless the last one has gone: then the mm is dying, or dead.

    The caller keeps the struct itself alive, by mmgrab() or because a VMA of it cannot go
    yet.
    """
    return count(mm, Mm.mm_users, "mmget_not_zero", lambda users: users + bool(users)) > 0


def mmput(mm: Mm) -> None:
    """One user less; the last one empties the address space, here and now.

    That takes mmap_lock and calls ->close, so the caller may hold nothing that these take.
    """
    if count(mm, Mm.mm_users, "mmput", lambda users: users - 1) == 0:
        __mmput(mm)


def __mmput(mm: Mm) -> None:
    exit_mmap(mm)
    mmdrop(mm)


def mmgrab(mm: Mm) -> None:
    """Keep the struct; what it maps may go all the same."""
    count(mm, Mm.mm_count, "mmgrab", lambda count: count + 1)


def mmdrop(mm: Mm) -> None:
    """Keep the struct no longer; the last one frees it."""
    if count(mm, Mm.mm_count, "mmdrop", lambda count: count - 1) == 0:
        check_mm(mm)
        free(mm)


def check_mm(mm: Mm) -> None:
    """Nobody uses the mm, and nothing may be left in its page table.  One step."""
    left: Leaf | None = look_at_all(
        mm.slots.collection,
        "check_mm",
        first_leaf,
        detail=lambda leaf: f"{mm}: {leaf or 'no leaf'}",
    )
    if left is not None:
        violate(CHECK_MM, f"{mm} still has {left}.")


def first_leaf(slots: tuple[Slot, ...]) -> Leaf | None:
    leaves = [slot for slot in slots if isinstance(slot, Leaf)]
    return min(leaves, key=lambda leaf: leaf.addr, default=None)
