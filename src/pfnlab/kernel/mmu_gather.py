"""struct mmu_gather: leaves are cleared first, and the TLBs are flushed once for all of them.

Drawn after mm/mmu_gather.c and include/asm-generic/tlb.h, for x86.  Between the clear and
the flush a CPU can still use what it has cached.  A second zap of the range finds nothing
to clear meanwhile, and must not return before the translations are gone.  So an mm counts
its gathers, and one that is not alone at its end flushes everything.

Model: tlb_gather_mmu() makes no step; the count goes up together with the first clear.
What is cleared before that it clears itself, so another zap that looks in between would
flush once more than it must.

Model: no struct page is freed, so no batch of them is ever full, and there is no flush in
the middle of a VMA.
"""

from typing import Any

from pfnlab.engine.access import atomically
from pfnlab.engine.cell import Cell
from pfnlab.kernel.geometry import PAGE_SIZE, Order
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.tlb import flush_tlb_mm_range, flushed, tlbs_of
from pfnlab.kernel.vma import VM_MIXEDMAP, VM_PFNMAP, Mm, Vma

TASK_SIZE = 1 << 47


class MmuGather:
    """Lives on the stack of whoever zaps; nobody else sees it."""

    def __init__(self) -> None:
        self.start, self.end = TASK_SIZE, 0  # what was cleared and is not flushed
        self.mm: Any = None
        self.fullmm = False
        self.vma_pfn = False
        self.pending = False  # counted in tlb_flush_pending


def tlb_gather_mmu(tlb: MmuGather, mm: Mm) -> None:
    """Begin a zap in an mm.  A gather can be used again after tlb_finish_mmu()."""
    tlb.mm = mm
    tlb.fullmm = tlb.vma_pfn = tlb.pending = False
    __tlb_reset_range(tlb)


def tlb_gather_mmu_fullmm(tlb: MmuGather, mm: Mm) -> None:
    """Begin the zap of all of an mm that has no user left."""
    tlb_gather_mmu(tlb, mm)
    tlb.fullmm = True


def __tlb_reset_range(tlb: MmuGather) -> None:
    tlb.start, tlb.end = TASK_SIZE, 0


def counter_to_raise(tlb: MmuGather) -> tuple[Cell, ...]:
    """tlb_flush_pending, for the step of the first clear to raise; nothing for later ones."""
    if tlb.pending:
        return ()
    tlb.pending = True
    return (Mm.tlb_flush_pending.cell(tlb.mm),)


def tlb_remove_tlb_entry(tlb: MmuGather, order: Order, address: int) -> None:
    """A leaf was cleared: its range is to be flushed."""
    tlb.start = min(tlb.start, address)
    tlb.end = max(tlb.end, address + (PAGE_SIZE << order))


def tlb_start_vma(tlb: MmuGather, vma: Vma) -> None:
    if not tlb.fullmm:
        tlb.vma_pfn = tlb.vma_pfn or bool(vma.vm_flags & (VM_PFNMAP | VM_MIXEDMAP))


def tlb_end_vma(tlb: MmuGather, vma: Vma) -> None:
    """All of a VMA is cleared.  Some kernels flush for a pfn mapping here.

    The core counts no users of its pages, so a translation must not outlive the VMA.
    """
    if not tlb.fullmm and tlb.vma_pfn and running_kernel().tlb_end_vma_flushes:
        tlb_flush_mmu_tlbonly(tlb)


def tlb_free_vmas(tlb: MmuGather) -> None:
    """VMAs that are empty go out of i_mmap next.  Later kernels flush for pfn mappings here.

    From then on unmap_mapping_range() does not find them, and has nothing to wait for
    (CVE-2022-39188).  Without users of the mm nobody runs in it, and it can wait.
    """
    if not tlb.fullmm and tlb.vma_pfn and running_kernel().tlb_free_vmas_flushes:
        tlb_flush_mmu_tlbonly(tlb)


def tlb_flush_mmu_tlbonly(tlb: MmuGather) -> None:
    """Flush what was cleared so far; no step if that is nothing."""
    if tlb.start < tlb.end:
        flush_tlb_mm_range(tlb.mm, tlb.start, tlb.end)
        __tlb_reset_range(tlb)
        tlb.vma_pfn = False


def tlb_finish_mmu(tlb: MmuGather) -> None:
    """End a zap: flush what is left, or everything if another gather runs in the mm.

    What that one has cleared looked empty to this one, and may be cached still.

    Model: the last flush and dec_tlb_flush_pending() are one step.  Who looks in between
    would flush once more than it must.
    """
    if not tlb.pending:
        return
    if tlb.start < tlb.end or not ended_alone(tlb):
        tlb_flush_mmu(tlb)
    tlb.pending = False


def ended_alone(tlb: MmuGather) -> bool:
    """End a gather that has nothing to flush, unless another runs in the mm.  One step."""
    alone: bool = atomically(
        (Mm.tlb_flush_pending.cell(tlb.mm),), "finish",
        lambda old: (old, False) if old[0] > 1 else ((old[0] - 1,), True),
        detail=lambda alone: f"{tlb.mm}, {'nothing to flush' if alone else 'another zap runs'}",
    )  # fmt: skip
    return alone


def tlb_flush_mmu(tlb: MmuGather) -> None:
    """The last flush of a gather."""
    mm, start, end, fullmm = tlb.mm, tlb.start, tlb.end, tlb.fullmm

    def flush(old: tuple[Any, ...]) -> tuple[tuple[Any, ...], bool]:
        everything = fullmm or old[0] > 1 or start >= end
        first, stop = (0, TASK_SIZE) if everything else (start, end)
        return (old[0] - 1, *flushed(old[1:], first, stop)), everything

    atomically(
        (Mm.tlb_flush_pending.cell(mm), *tlbs_of(mm)), "flush", flush,
        detail=lambda everything: f"all of {mm}" if everything else f"{start:x}..{end - 1:x}",
    )  # fmt: skip
    __tlb_reset_range(tlb)
