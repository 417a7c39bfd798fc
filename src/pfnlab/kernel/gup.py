"""The kernel itself faults a page in, and looks up what a VMA of a device maps.

Drawn after mm/gup.c (fixup_user_fault()) and mm/memory.c (follow_pfnmap_start()).
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from pfnlab.engine.current import running_task
from pfnlab.engine.signal import fatal_signal_pending
from pfnlab.engine.step import try_again, violate
from pfnlab.kernel.errno import EBUSY, EFAULT, EINTR, EINVAL, ENOMEM, Errno
from pfnlab.kernel.fault import handle_mm_fault
from pfnlab.kernel.fault_codes import (
    FAULT_FLAG_ALLOW_RETRY,
    FAULT_FLAG_KILLABLE,
    FAULT_FLAG_RETRY_NOWAIT,
    FAULT_FLAG_TRIED,
    FAULT_FLAG_WRITE,
    VM_FAULT_COMPLETED,
    VM_FAULT_ERROR,
    VM_FAULT_OOM,
    VM_FAULT_RETRY,
    VM_FAULT_SIGBUS,
    VM_FAULT_SIGSEGV,
    FaultFlag,
    vm_fault_t,
)
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, align_down
from pfnlab.kernel.locks import mmap_read_lock, mmap_read_unlock
from pfnlab.kernel.pagetable import walk
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import VM_IO, VM_PFNMAP, VM_READ, VM_WRITE, Mm, Vma, find_vma

PFNMAP_LOOKUP_UNDER_LOCK = contract(
    "R25",
    "pfnmap_lookup_under_lock",
    "The pfn behind an address may be looked up only with mmap_lock or the rmap lock held.",
    "mm/memory.c: follow_pfnmap_start(), pfnmap_lockdep_assert(), v6.12",
)
PFNMAP_ENDS = contract(
    "R25",
    "pfnmap_used_before_its_end",
    "What follow_pfnmap_start() found is used after follow_pfnmap_end().",
    "mm/memory.c: follow_pfnmap_start(), follow_pfnmap_end(), v6.12",
)


@dataclass
class Unlocked:
    """What the `bool *unlocked` of fixup_user_fault() points to, on the stack of its caller.

    A caller that passes one allows that mmap_lock is dropped on the way, and has called
    begin_trying(): if the lock was dropped it starts again with a new lookup of the VMA.
    Passing None forbids it.
    """

    is_true: bool = False
    # Not in the kernel: how mmap_lock was dropped since something changed last.
    drops: list[tuple[vm_fault_t, FaultFlag]] = field(default_factory=list)

    def dropped(self, how: tuple[vm_fault_t, FaultFlag]) -> None:
        """Wait for a change if this round is one of the rounds before over again."""
        self.is_true = True
        if how in self.drops:
            try_again()
            self.drops.clear()
        self.drops.append(how)


def fixup_user_fault(
    mm: Mm, address: int, fault_flags: FaultFlag, unlocked: Unlocked | None
) -> Errno:
    """Take the fault that an access to an address would take.

    mmap_lock is held for read on entry and on return.  If `unlocked` is given it may have
    been dropped in between, which sets it; the caller's VMA is then gone (R7).

    Model: a handler that drops the lock in the same way twice, with the same flags, goes
    on only when something that was seen in between has changed.  The next round would be
    the last over again.  So the rounds are no more than what other tasks change, and a
    handler that retries for ever is a livelock.
    """
    if unlocked is not None:
        fault_flags |= FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_KILLABLE
    while True:
        vma = find_vma(mm, address)
        if vma is None or not vma_permits_fault(vma, fault_flags):
            return -EFAULT
        if fault_flags & FAULT_FLAG_KILLABLE and fatal_signal_pending():
            return -EINTR
        fault = handle_mm_fault(vma, align_down(address, PAGE_SIZE), fault_flags)
        if fault & VM_FAULT_COMPLETED:
            retake_mmap_lock(mm, unlocked, (VM_FAULT_COMPLETED, fault_flags))
            return 0
        if fault & VM_FAULT_ERROR:
            return vm_fault_to_errno(fault)
        if not fault & VM_FAULT_RETRY:
            return 0
        retake_mmap_lock(mm, unlocked, (VM_FAULT_RETRY, fault_flags))
        fault_flags |= FAULT_FLAG_TRIED


def retake_mmap_lock(mm: Mm, unlocked: Unlocked | None, how: tuple[vm_fault_t, FaultFlag]) -> None:
    # Without `unlocked` the kernel writes through a null pointer.  handle_mm_fault() has
    # said so (R8), unless that rule is not checked.
    if unlocked is not None:
        unlocked.dropped(how)
    mmap_read_lock(mm)


def vma_permits_fault(vma: Vma, fault_flags: FaultFlag) -> bool:
    return bool(vma.vm_flags & (VM_WRITE if fault_flags & FAULT_FLAG_WRITE else VM_READ))


def vm_fault_to_errno(fault: vm_fault_t) -> Errno:
    """The error number of a code.

    VM_FAULT_FALLBACK has none, and the kernel meets BUG().  That it leaves no handler of a
    single page is a rule of fault.py (R11a), so it does not come here.
    """
    if fault & VM_FAULT_OOM:
        return -ENOMEM
    if fault & (VM_FAULT_SIGBUS | VM_FAULT_SIGSEGV):
        return -EFAULT
    return 0


class Found(NamedTuple):
    """The outputs of follow_pfnmap_start().

    addr_mask covers what one leaf maps, like PMD_MASK; v6.15 added it for type1.
    """

    pfn: int
    addr_mask: int
    writable: bool


@dataclass
class FollowPfnmapArgs:
    """struct follow_pfnmap_args, on the stack of its caller.

    What follow_pfnmap_start() has found may be read until follow_pfnmap_end(), and no
    longer: then the leaf may go.
    """

    vma: Vma
    address: int
    found: Found | None = None

    @property
    def pfn(self) -> int:
        return self._valid().pfn

    @property
    def addr_mask(self) -> int:
        return self._valid().addr_mask

    @property
    def writable(self) -> bool:
        return self._valid().writable

    def _valid(self) -> Found:
        if self.found is None:
            task = running_task()
            violate(
                PFNMAP_ENDS,
                f"{task.name} uses what was found at {self.address:x}, and holds nothing to it.",
            )
        return self.found or Found(0, -PAGE_SIZE, False)


def follow_pfnmap_start(args: FollowPfnmapArgs) -> Errno:
    """Find the leaf behind an address, or -EINVAL if there is none.  One step.

    The caller holds mmap_lock or the rmap lock, and calls follow_pfnmap_end() if this
    returns 0.

    Model: the page-table lock is held from here to the end; here that is the one walk, as
    callers only copy what was found.  A leaf is writable if its VMA is.
    """
    vma, address = args.vma, args.address
    pfnmap_lockdep_assert(vma)
    if not vma.contains(address) or not vma.vm_flags & (VM_IO | VM_PFNMAP):
        return -EINVAL
    leaf = walk(vma.vm_mm, address, "follow_pfnmap").leaf
    if leaf is None:
        return -EINVAL
    args.found = Found(
        pfn=leaf.pfn + (address - leaf.addr >> PAGE_SHIFT),
        addr_mask=~((PAGE_SIZE << leaf.order) - 1),
        writable=bool(vma.vm_flags & VM_WRITE),
    )
    return 0


def follow_pfnmap_end(args: FollowPfnmapArgs) -> None:
    """The page-table lock is released.  What was found is void from here on."""
    args.found = None


def pfnmap_lockdep_assert(vma: Vma) -> None:
    task = running_task()
    mm: Mm = vma.vm_mm
    locks = [mm.mmap_lock]
    if vma.vm_file is not None:
        locks.append(vma.vm_file.mapping.i_mmap_rwsem)
    if not any(task.holds(lock) for lock in locks):
        names = " nor ".join(lock.name for lock in locks)
        violate(PFNMAP_LOOKUP_UNDER_LOCK, f"{task.name} holds neither {names}.")


def fault_in_nowait(mm: Mm, address: int) -> Errno:
    """Fault a page in as get_user_pages() does with FOLL_NOWAIT, for KVM's async page faults.

    mmap_lock is held throughout, whatever the handler returns.  -EBUSY: not without waiting.

    Model: faultin_page() alone.  get_user_pages() refuses VM_IO and VM_PFNMAP in
    check_vma_flags(), so no caller of v6.12 brings FAULT_FLAG_RETRY_NOWAIT to a BAR; that a
    handler honours it is part of what it promises all the same.
    """
    mmap_read_lock(mm)
    error = -EFAULT
    vma = find_vma(mm, address)
    if vma is not None:
        flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_RETRY_NOWAIT
        fault = handle_mm_fault(vma, align_down(address, PAGE_SIZE), flags)
        error = -EBUSY if fault & VM_FAULT_RETRY else vm_fault_to_errno(fault)
    mmap_read_unlock(mm)
    return error
