"""KVM: a guest reaches a mapping through a second page table, made from the first.

Drawn after virt/kvm/kvm_main.c and arch/x86/kvm/mmu/mmu.c (the TDP MMU).  How an entry is
kept from outliving the leaf that it was made from (R25):

    fault:  read mmu_invalidate_seq, look the pfn up, then under mmu_lock install it,
            unless an invalidation is in progress or the sequence has moved
    zap:    invalidate_range_start: in_progress + 1, entries cleared, under mmu_lock
            the leaves go
            invalidate_range_end: sequence + 1, in_progress - 1, under mmu_lock

Model: one hold of mmu_lock is one step.  A fault also looks at the sequence before it
looks up the pfn and before it takes mmu_lock, to save work; those looks are left out.
"""

from typing import Any

from pfnlab.engine.access import atomically
from pfnlab.engine.cell import Cell
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import begin_trying, done_trying, try_again
from pfnlab.engine.word import word, words
from pfnlab.kernel.cpu import INTERFERENCES
from pfnlab.kernel.errno import EAGAIN, EFAULT, Errno
from pfnlab.kernel.fault_codes import FAULT_FLAG_WRITE, FaultFlag
from pfnlab.kernel.geometry import ORDERS, PAGE_SHIFT, PAGE_SIZE, PTE_ORDER, Order, align_down
from pfnlab.kernel.gup import (
    FollowPfnmapArgs,
    Unlocked,
    fixup_user_fault,
    follow_pfnmap_end,
    follow_pfnmap_start,
)
from pfnlab.kernel.locks import mmap_read_lock, mmap_read_unlock, return_to_user_space
from pfnlab.kernel.mmu_notifier import MmuNotifier, MmuNotifierOps, mmu_notifier_register
from pfnlab.kernel.pagetable import TABLE, Leaf, slot_of
from pfnlab.kernel.vma import VM_IO, VM_PFNMAP, Mm, Vma, find_vma

RET_PF_RETRY, RET_PF_FIXED = 1, 5


class Kvm(Shared):
    """struct kvm: the MMU of one VM.

    Model: one memory slot, `start` to `end`, which the guest sees at the addresses that it
    has in the host; it is there from the start and never changes.
    """

    mmu_invalidate_in_progress = word(0)
    mmu_invalidate_seq = word(0)
    sptes = words()  # the second page table: leaves by (order, index)

    def __init__(self, name: str, mm: Mm, start: int, end: int) -> None:
        self.name = name
        self.mm = mm
        self.start = start
        self.end = end


def kvm_create_vm(name: str, mm: Mm, start: int, end: int) -> Kvm:
    kvm = Kvm(name, mm, start, end)
    mmu_notifier_register(MmuNotifier(KVM_MMU_NOTIFIER_OPS, kvm), mm)
    return kvm


def spte_of(kvm: Kvm, order: Order, gpa: int) -> Cell:
    """The word that holds the entry for an address of the guest at a level."""
    index = gpa // (PAGE_SIZE << order)
    start = index * (PAGE_SIZE << order)
    return kvm.sptes.cell((order.entry, index), f"{kvm.name} {order.entry} {start:x}")


# ---- a fault of the guest


def kvm_vcpu_run(kvm: Kvm, gpa: int) -> Errno:
    """The guest accesses an address until it succeeds; -EFAULT is an exit to user space.

    Model: an access after which an entry was installed has succeeded; real ones look again.
    As in access(), a fault that is stale is taken again once, and then given up: a zap
    that begins anew for every fault would go on for ever with it.
    """
    begin_trying()
    ret = RET_PF_FIXED if guest_access(kvm, gpa) else RET_PF_RETRY
    faults = 0
    while ret == RET_PF_RETRY and faults <= INTERFERENCES:
        if faults:
            wait_for_invalidation(kvm)
        ret = kvm_tdp_mmu_page_fault(kvm, gpa)
        faults += 1
    done_trying()
    return_to_user_space()
    return min(ret, 0)


def guest_access(kvm: Kvm, gpa: int) -> bool:
    """Whether the hardware finds an entry.  One step."""
    found: bool = atomically(
        tuple(spte_of(kvm, order, gpa) for order in reversed(ORDERS)), "guest_access",
        lambda old: (old, any(old)),
        detail=lambda found: f"{gpa:x}: {'mapped' if found else 'no entry'}",
    )  # fmt: skip
    return found


def kvm_tdp_mmu_page_fault(kvm: Kvm, gpa: int) -> int:
    """RET_PF_FIXED, RET_PF_RETRY, or -EFAULT if the host has nothing to show there."""
    mmu_seq = kvm.mmu_invalidate_seq  # before the lookup: what is zapped after it must show
    error, pfn = hva_to_pfn(kvm.mm, gpa)
    if error:
        return -EFAULT  # kvm_handle_error_pfn()
    return kvm_tdp_mmu_map(kvm, gpa, pfn, mmu_seq)


def wait_for_invalidation(kvm: Kvm) -> None:
    """Go round again at once if the sequence has moved, else when the invalidation is over.

    Model: the kernel goes round while it lasts, and finds the same each time.
    """
    begin_trying()
    if kvm.mmu_invalidate_in_progress:
        try_again()


def hva_to_pfn(mm: Mm, addr: int, write_fault: bool = True) -> tuple[Errno, int]:
    """The pfn behind an address of user space, faulted in if need be.  (error, pfn).

    The caller has called begin_trying(), for fixup_user_fault().

    Model: hva_to_pfn_fast() and hva_to_pfn_slow() come first; they refuse VM_PFNMAP, which
    takes no step here.
    """
    unlocked = Unlocked()
    mmap_read_lock(mm)
    while True:
        vma = find_vma(mm, addr)
        if vma is None or not vma.vm_flags & (VM_IO | VM_PFNMAP):
            error, pfn = -EFAULT, 0
            break
        error, pfn = hva_to_pfn_remapped(vma, addr, write_fault, unlocked)
        if error != -EAGAIN:
            break
    mmap_read_unlock(mm)
    return error, pfn


def hva_to_pfn_remapped(
    vma: Vma, addr: int, write_fault: bool, unlocked: Unlocked
) -> tuple[Errno, int]:
    """Look the leaf up; if there is none, fault once and look again.  mmap_lock is held.

    Model: a write to what is read-only fails, where KVM would emulate it.
    """
    args = FollowPfnmapArgs(vma, addr)
    error = follow_pfnmap_start(args)
    if error:
        unlocked.is_true = False
        flags = FAULT_FLAG_WRITE if write_fault else FaultFlag(0)
        error = fixup_user_fault(vma.vm_mm, addr, flags, unlocked)
        if unlocked.is_true:
            return -EAGAIN, 0
        error = error or follow_pfnmap_start(args)
        if error:
            return error, 0
    pfn = args.pfn
    error = -EFAULT if write_fault and not args.writable else 0
    follow_pfnmap_end(args)
    return error, pfn


def kvm_tdp_mmu_map(kvm: Kvm, gpa: int, pfn: int, mmu_seq: int) -> int:
    """Install a pfn unless is_page_fault_stale(), at the level that it has in the host.

    The level is looked up under mmu_lock too (host_pfn_mapping_level()); no zap is on its
    way then, so the leaf is the one that the pfn came from.
    """
    in_progress = Kvm.mmu_invalidate_in_progress.cell(kvm)
    seq = Kvm.mmu_invalidate_seq.cell(kvm)
    host = tuple(slot_of(kvm.mm, order, gpa) for order in reversed(ORDERS))
    sptes = tuple(spte_of(kvm, order, gpa) for order in ORDERS)

    def install(old: tuple[Any, ...]) -> tuple[tuple[Any, ...], int]:
        if mmu_invalidate_retry(old[0], old[1], mmu_seq):
            return old, RET_PF_RETRY
        order = mapping_level(old[2:5])
        new = list(old)
        first = align_down(gpa, PAGE_SIZE << order)
        new[5 + order.level] = Leaf(order, first, pfn - (gpa - first >> PAGE_SHIFT), "")
        return tuple(new), RET_PF_FIXED

    fixed: int = atomically(
        (in_progress, seq, *host, *sptes), "kvm_tdp_mmu_map", install,
        detail=lambda ret: f"{gpa:x} -> {pfn:x}{', stale' if ret == RET_PF_RETRY else ''}",
    )  # fmt: skip
    return fixed


def mmu_invalidate_retry(in_progress: int, seq: int, mmu_seq: int) -> bool:
    """Whether a zap has begun since mmu_seq was read.

    Model: of any address; KVM compares the range, of those in progress.
    """
    return in_progress > 0 or seq != mmu_seq


def mapping_level(host: tuple[Any, ...]) -> Order:
    """The level of the leaf in the slots of a walk, from the PUD down; PTE if there is none."""
    for order, slot in zip(reversed(ORDERS), host, strict=True):
        if slot != TABLE:
            return order if isinstance(slot, Leaf) else PTE_ORDER
    return PTE_ORDER


# ---- a zap in the host


def kvm_mmu_notifier_invalidate_range_start(
    subscription: MmuNotifier, start: int, end: int
) -> None:
    """Clear the entries of a range, and let no fault install others until the end."""
    kvm: Kvm = subscription.owner
    start, end = max(start, kvm.start), min(end, kvm.end)
    if start >= end:
        return
    cells = [Kvm.mmu_invalidate_in_progress.cell(kvm)]
    for order in ORDERS:
        size = PAGE_SIZE << order
        cells += [spte_of(kvm, order, gpa) for gpa in range(align_down(start, size), end, size)]

    def clear(old: tuple[Any, ...]) -> tuple[tuple[Any, ...], int]:
        return (old[0] + 1, *[None] * (len(old) - 1)), sum(slot is not None for slot in old[1:])

    atomically(
        tuple(cells), "kvm_unmap_gfn_range", clear,
        detail=lambda n: f"{start:x}..{end - 1:x}, {n} {'entry' if n == 1 else 'entries'}",
    )  # fmt: skip


def kvm_mmu_notifier_invalidate_range_end(subscription: MmuNotifier, start: int, end: int) -> None:
    """The sequence moves, so whoever looked up a pfn before knows."""
    kvm: Kvm = subscription.owner
    if max(start, kvm.start) >= min(end, kvm.end):
        return
    cells = (Kvm.mmu_invalidate_seq.cell(kvm), Kvm.mmu_invalidate_in_progress.cell(kvm))
    atomically(
        cells, "kvm_mmu_invalidate_end", lambda old: ((old[0] + 1, old[1] - 1), None),
        detail=lambda _: kvm.name,
    )  # fmt: skip


KVM_MMU_NOTIFIER_OPS = MmuNotifierOps(
    kvm_mmu_notifier_invalidate_range_start, kvm_mmu_notifier_invalidate_range_end
)


def entries_of(kvm: Kvm) -> list[Leaf]:
    """Every entry of a VM: for rules, which look without making steps."""
    return [spte for spte in kvm.sptes.values() if spte is not None]
