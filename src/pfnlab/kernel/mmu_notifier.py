"""mmu notifiers: those who keep pfns of an mm elsewhere hear of every zap.

Drawn after mm/mmu_notifier.c.  A subscriber drops what it has made from a range between
the start and the end of an invalidation, and makes nothing new meanwhile.

Model: nobody unregisters, and intervals (struct mmu_interval_notifier) are left out.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pfnlab.kernel.locks import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    mmap_write_lock,
    mmap_write_unlock,
)
from pfnlab.kernel.vma import AddressSpace, Mm


@dataclass(frozen=True)
class MmuNotifierOps:
    """struct mmu_notifier_ops; both get (subscription, start, end), addresses in bytes."""

    invalidate_range_start: Callable[["MmuNotifier", int, int], None]
    invalidate_range_end: Callable[["MmuNotifier", int, int], None]


@dataclass(frozen=True)
class MmuNotifier:
    """struct mmu_notifier; `owner` is what the kernel gets by container_of()."""

    ops: MmuNotifierOps
    owner: Any


def mmu_notifier_register(subscription: MmuNotifier, mm: Mm) -> None:
    """From here on the subscriber hears of every zap in an mm."""
    mmap_write_lock(mm)
    mappings = mm_take_all_locks(mm)
    mm.notifier_subscriptions.append(subscription)
    mm_drop_all_locks(mappings)
    mmap_write_unlock(mm)


def mm_take_all_locks(mm: Mm) -> list[AddressSpace]:
    """Hold off zaps, which come with mmap_lock or with the rmap lock of a file."""
    mappings = list(dict.fromkeys(vma.vm_file.mapping for vma in mm.vmas))
    for mapping in mappings:
        i_mmap_lock_write(mapping)
    return mappings


def mm_drop_all_locks(mappings: list[AddressSpace]) -> None:
    for mapping in reversed(mappings):
        i_mmap_unlock_write(mapping)


def mmu_notifier_invalidate_range_start(mm: Mm, start: int, end: int) -> None:
    """Before a range is zapped.  The caller holds what the zap needs.

    Without a subscriber this is no step.
    """
    for subscription in mm.notifier_subscriptions:
        subscription.ops.invalidate_range_start(subscription, start, end)


def mmu_notifier_invalidate_range_end(mm: Mm, start: int, end: int) -> None:
    """After it.  The TLBs of CPUs may be flushed later, those of subscribers may not."""
    for subscription in mm.notifier_subscriptions:
        subscription.ops.invalidate_range_end(subscription, start, end)
