"""PAT tracking of pfn mappings: which VMA has reserved the memory type of what it maps.

Up to v6.15 by the flag VM_PAT, which any zap clears; from v6.16 on by a context that
VMAs share and the last of them frees.  Drawn after arch/x86/mm/pat/memtype.c, and for
v6.16 mm/memory.c.
"""

from pfnlab.engine.shared import Shared
from pfnlab.engine.step import violate
from pfnlab.engine.word import update, word
from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE
from pfnlab.kernel.memtype import (
    is_new_memtype_allowed,
    lookup_memtype,
    memtype_free,
    memtype_reserve,
)
from pfnlab.kernel.pagetable import Leaf, walk
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma import (
    VM_PAT,
    Vma,
    __vm_flags_mod,
    is_cow_mapping,
    vm_flags_clear,
    vm_flags_set,
)

FREED_ONCE = contract(
    "R31",
    "memtype_freed_with_its_leaves",
    "A memory type is freed once, with the range that was reserved, and not under a live leaf.",
    "arch/x86/mm/pat/memtype.c: untrack_pfn(), up to v6.15",
)
REMAP_ONCE = contract(
    "R18",
    "vma_remapped_as_a_whole_once",
    "From v6.16 on a VMA may be remapped as a whole only once, even if it was zapped: -EINVAL.",
    "mm/memory.c: remap_pfn_range_track(), v6.16",
)


class PfnmapTrackCtx(Shared):
    """struct pfnmap_track_ctx: one reservation, and how many VMAs share it."""

    refs = word(1)

    def __init__(self, pfn: int, size: int) -> None:
        self.pfn = pfn
        self.size = size


def track_pfn_remap(vma: Vma, prot: str, pfn: int, addr: int, size: int) -> tuple[Errno, str]:
    """Called by remap_pfn_range(): (error, the protection to map with).

    A whole VMA is reserved and marked.  For a part its type is looked up, page by page,
    and must be the same everywhere.
    """
    if addr == vma.vm_start and size == vma.size:
        error, prot = reserve_pfn_range(pfn << PAGE_SHIFT, size, prot)
        if not error:
            vm_flags_set(vma, VM_PAT)
        return error, prot
    return pfnmap_setup_cachemode(pfn, size)


def pfnmap_setup_cachemode(pfn: int, size: int) -> tuple[Errno, str]:
    """The type that all pages from pfn on have: (error, the type).  Reserves nothing."""
    paddr = pfn << PAGE_SHIFT
    first = lookup_memtype(paddr)
    for page in range(paddr + PAGE_SIZE, paddr + size, PAGE_SIZE):
        if lookup_memtype(page) != first:
            return -EINVAL, first
    return 0, first


def track_pfn_insert(_prot: str, pfn: int) -> str:
    """Called by vmf_insert_pfn*(): the protection to map with, whatever was asked for.

    Looks at the first page only, however large the leaf.  Reserves nothing.
    """
    return lookup_memtype(pfn << PAGE_SHIFT)


def reserve_pfn_range(
    paddr: int, size: int, prot: str, strict_prot: bool = False
) -> tuple[Errno, str]:
    """Reserve, and take what one gets unless that cannot do."""
    error, memtype = memtype_reserve(paddr, paddr + size, prot)
    if error:
        return error, prot
    if memtype != prot and (strict_prot or not is_new_memtype_allowed(prot, memtype)):
        memtype_free(paddr, paddr + size)
        return -EINVAL, prot
    return 0, memtype


def track_pfn_copy(dst_vma: Vma, src_vma: Vma) -> Errno:
    """Called by copy_page_range(): the copy of a marked VMA reserves for itself."""
    if not src_vma.vm_flags & VM_PAT:
        return 0
    leaf = get_pat_info(src_vma)
    if leaf is None:
        return -EINVAL
    error, _ = reserve_pfn_range(leaf.pfn << PAGE_SHIFT, src_vma.size, leaf.prot, True)
    if not error:
        vm_flags_set(dst_vma, VM_PAT)
    return error


def untrack_pfn_clear(vma: Vma) -> None:
    """The reservation is somebody else's: of the VMA that this was copied from or moved to."""
    vm_flags_clear(vma, VM_PAT)


def untrack_pfn(
    vma: Vma,
    pfn: int = 0,
    size: int = 0,
    mm_wr_locked: bool = False,
    zapped: tuple[int, int] | None = None,
) -> None:
    """Called by every zap of a VM_PFNMAP VMA, whatever part of it goes.

    Without pfn and size the whole VMA's reservation is freed, and what it was for is read
    from the first PTE.  The caller may hold mmap_lock for read only; the kernel passes
    the check of vm_flags by then.  `zapped` is not in the kernel: what goes, for R31.
    """
    if not vma.vm_flags & VM_PAT:
        return
    if not size:
        if is_cow_mapping(vma.vm_flags):
            pfn = vma.vm_pgoff
        else:
            leaf = get_pat_info(vma)
            if leaf is None:
                return
            pfn = leaf.pfn
        size = vma.size
    if zapped is not None:
        _no_leaf_is_left(vma, *zapped)
    free_pfn_range(pfn << PAGE_SHIFT, size)
    if mm_wr_locked:
        vm_flags_clear(vma, VM_PAT)
    else:
        __vm_flags_mod(vma, 0, VM_PAT)


def get_pat_info(vma: Vma) -> Leaf | None:
    """What the reservation of a VMA is for: the leaf at its start knows.  WARNs if none."""
    leaf = walk(vma.vm_mm, vma.vm_start, "follow_pfnmap").leaf
    if leaf is None:
        violate(
            FREED_ONCE,
            f"No leaf at {vma.vm_start:x} tells what {vma} has reserved: it is never freed.",
            call="WARN_ON_ONCE(1)",
        )
    return leaf


def free_pfn_range(paddr: int, size: int) -> None:
    if memtype_free(paddr, paddr + size):
        violate(FREED_ONCE, f"No reservation is {paddr:x}..{paddr + size - 1:x}.")


def _no_leaf_is_left(vma: Vma, start: int, end: int) -> None:
    """The zap of [start, end) must leave no leaf of the VMA behind."""
    for address in range(vma.vm_start, vma.vm_end, PAGE_SIZE):
        leaf = None if start <= address < end else walk(vma.vm_mm, address).leaf
        if leaf is not None:
            violate(FREED_ONCE, f"{leaf} stays; {start:x}..{end - 1:x} of {vma} is zapped.")
            return


# ---- from v6.16 on


def pfnmap_track_ctx_alloc(
    vma: Vma, prot: str, pfn: int, size: int
) -> tuple[Errno, str, PfnmapTrackCtx | None]:
    """Reserve for a whole VMA: (error, the protection to map with, the context)."""
    if vma.pfnmap_track_ctx is not None:
        violate(REMAP_ONCE, f"{vma} still has the context of its first remap.")
        return -EINVAL, prot, None
    error, prot = reserve_pfn_range(pfn << PAGE_SHIFT, size, prot)
    if error:
        return -EINVAL, prot, None
    return 0, prot, PfnmapTrackCtx(pfn, size)


def vma_pfnmap_track_ctx_dup(orig: Vma, new: Vma) -> None:
    """Called by vm_area_dup(): one more VMA shares the context."""
    ctx = orig.pfnmap_track_ctx
    if ctx is not None:
        update(ctx, "refs", lambda refs: refs + 1)
        new.pfnmap_track_ctx = ctx


def vma_pfnmap_track_ctx_release(vma: Vma) -> None:
    """Called by vm_area_free(): the last VMA frees the reservation."""
    ctx = vma.pfnmap_track_ctx
    if ctx is not None:
        pfnmap_track_ctx_put(ctx)
        vma.pfnmap_track_ctx = None


def pfnmap_track_ctx_put(ctx: PfnmapTrackCtx) -> None:
    if update(ctx, "refs", lambda refs: refs - 1) == 1:
        free_pfn_range(ctx.pfn << PAGE_SHIFT, ctx.size)
