"""type1: user space makes memory of its own, or a BAR, reachable for a device.

Drawn after drivers/vfio/vfio_iommu_type1.c.  Locks:

    iommu->lock  >  mmap_lock  >  what a fault takes

Entries of the IOMMU that were made from a BAR stay until user space unmaps them, through
disable, reset and munmap of the BAR, as type1 listens to no mmu notifier.  It is known and
accepted upstream, so it is told as a note (R26), and breaks no rule.
"""

from typing import NamedTuple

from pfnlab.engine.access import atomically
from pfnlab.engine.field import field
from pfnlab.engine.lists import shared_list
from pfnlab.engine.mutex import mutex
from pfnlab.engine.shared import Shared, free
from pfnlab.engine.step import begin_trying, done_trying
from pfnlab.engine.word import words
from pfnlab.kernel.errno import EAGAIN, EEXIST, EFAULT, EINVAL, Errno
from pfnlab.kernel.fault_codes import FAULT_FLAG_REMOTE, FAULT_FLAG_WRITE
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, GiB
from pfnlab.kernel.gfp import GFP_KERNEL, might_alloc
from pfnlab.kernel.gup import (
    FollowPfnmapArgs,
    Unlocked,
    fixup_user_fault,
    follow_pfnmap_end,
    follow_pfnmap_start,
)
from pfnlab.kernel.locks import (
    mmap_read_lock,
    mmap_read_unlock,
    mutex_lock,
    mutex_unlock,
    return_to_user_space,
)
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.vma import VM_PFNMAP, Mm, Vma, find_vma

IOMMU_READ, IOMMU_WRITE = 0x1, 0x2
END_OF_RAM = 64 * GiB  # BARs lie above
MAX_PFN = END_OF_RAM >> PAGE_SHIFT


class VfioIommu(Shared):
    """struct vfio_iommu: what a container of type1 holds.

    Model: one domain, so one set of entries.
    """

    lock = mutex()
    dma_list = shared_list(guarded_by="lock", traced=False)
    entries = words()  # the table of the IOMMU: a pfn by the page of its iova, or None

    def __init__(self, name: str) -> None:
        self.name = name


class VfioDma(Shared, freeable=True):
    """struct vfio_dma: one range that user space has mapped.  `size` grows with it."""

    iova = field(0, guarded_by="lock", traced=False)
    vaddr = field(0, guarded_by="lock", traced=False)
    size = field(0, guarded_by="lock", traced=False)
    prot = field(0, guarded_by="lock", traced=False)

    def __init__(self, iova: int, vaddr: int, prot: int) -> None:
        self.iova = iova
        self.vaddr = vaddr
        self.prot = prot
        self.name = f"dma {iova:x}"


class DmaMap(NamedTuple):
    """struct vfio_iommu_type1_dma_map.  Addresses and size in bytes."""

    vaddr: int
    iova: int
    size: int
    prot: int = IOMMU_READ | IOMMU_WRITE


def vfio_dma_do_map(iommu: VfioIommu, mm: Mm, dma_map: DmaMap) -> Errno:
    """VFIO_IOMMU_MAP_DMA.

    Model: `mm` is current->mm; a task here is of no process.
    """
    mutex_lock(iommu.lock)
    if (
        not (dma_map.size and dma_map.prot)
        or (dma_map.size | dma_map.iova | dma_map.vaddr) % PAGE_SIZE
    ):
        error = -EINVAL
    elif vfio_find_dma(iommu, dma_map.iova, dma_map.size) is not None:
        error = -EEXIST
    else:
        might_alloc(GFP_KERNEL)
        dma = VfioDma(dma_map.iova, dma_map.vaddr, dma_map.prot)
        iommu.dma_list.append(dma)
        error = vfio_pin_map_dma(iommu, mm, dma, dma_map.size)
    mutex_unlock(iommu.lock)
    return_to_user_space()
    return error


def vfio_find_dma(iommu: VfioIommu, start: int, size: int) -> VfioDma | None:
    """A range that overlaps with the given one.  The caller holds iommu->lock."""
    for dma in iommu.dma_list:
        if dma.iova < start + size and dma.iova + dma.size > start:
            found: VfioDma = dma
            return found
    return None


def vfio_pin_map_dma(iommu: VfioIommu, mm: Mm, dma: VfioDma, map_size: int) -> Errno:
    """Look pages up and map them, a run of consecutive pfns at a time."""
    error = 0
    while not error and dma.size < map_size:
        npage, pfn = vfio_pin_pages_remote(
            mm, dma, dma.vaddr + dma.size, map_size - dma.size >> PAGE_SHIFT
        )
        if npage < 0:
            error = npage
            break
        iommu_map(iommu, dma.iova + dma.size, pfn, npage)
        dma.size = dma.size + (npage << PAGE_SHIFT)
    if error:
        vfio_remove_dma(iommu, dma)
    return error


def vfio_pin_pages_remote(mm: Mm, dma: VfioDma, vaddr: int, npage: int) -> tuple[int, int]:
    """(pages that follow each other, first pfn), or (an error, 0).

    Each call of vaddr_get_pfns() holds mmap_lock on its own, so the pages of a run may be
    of different times.

    Model: nothing is pinned and nobody's limit is charged, as a BAR has no struct pages.
    """
    base = pinned = 0
    while pinned < npage:
        got, pfn = vaddr_get_pfns(mm, vaddr + pinned * PAGE_SIZE, npage - pinned, dma.prot)
        if got < 0:
            return got, 0
        if not pinned:
            base = pfn
        if pfn != base + pinned:
            break  # it begins the next run, and is looked up again then
        pinned += got
    return pinned, base


def vaddr_get_pfns(mm: Mm, vaddr: int, npages: int, prot: int) -> tuple[int, int]:
    """(pages from vaddr on, the first pfn), faulted in if need be; or (an error, 0).

    Up to v6.14 a lookup in a pfn mapping is good for one page, even below a large leaf.
    From v6.15 on it covers the rest of the leaf, but no more than was asked for.

    Model: pin_user_pages_remote() comes first; it refuses VM_PFNMAP, which takes no step
    here.  How the loop ends is told at fixup_user_fault().
    """
    begin_trying()
    unlocked = Unlocked()
    mmap_read_lock(mm)
    ret, pfn, addr_mask = -EFAULT, 0, 0
    while True:
        vma = find_vma(mm, vaddr)
        # Without such a VMA the last error stays: -EAGAIN, if it went away in the gap.
        if vma is None or not vma.vm_flags & VM_PFNMAP:
            break
        ret, pfn, addr_mask = follow_fault_pfn(vma, mm, vaddr, bool(prot & IOMMU_WRITE), unlocked)
        if ret == -EAGAIN:
            continue
        if not ret:
            ret = pages_of_lookup(pfn, addr_mask, npages)
        break
    mmap_read_unlock(mm)
    done_trying()
    return ret, pfn


def pages_of_lookup(pfn: int, addr_mask: int, npages: int) -> int:
    """How many pages a lookup stands for.  -EFAULT if they have struct pages of their own."""
    if not is_invalid_reserved_pfn(pfn):
        return -EFAULT
    if not running_kernel().type1_by_leaf:
        return 1
    epfn = (pfn | ~addr_mask >> PAGE_SHIFT) + 1
    return min(npages, epfn - pfn)


def is_invalid_reserved_pfn(pfn: int) -> bool:
    """Whether there is no struct page to pin.

    Model: pages of RAM have one that is not reserved, and all others have none.
    """
    return pfn >= MAX_PFN


def follow_fault_pfn(
    vma: Vma, mm: Mm, vaddr: int, write_fault: bool, unlocked: Unlocked
) -> tuple[Errno, int, int]:
    """(0, pfn, addr_mask) of the leaf; if there is none, fault once and look again.

    -EAGAIN means that mmap_lock was dropped, and the VMA may be gone.  That comes before
    any error of the fault, so a fault that fails after a retry is taken again.

    Model: `unlocked` is the caller's and made false here, as it counts the rounds.
    """
    args = FollowPfnmapArgs(vma, vaddr)
    error = follow_pfnmap_start(args)
    if error:
        unlocked.is_true = False
        flags = FAULT_FLAG_REMOTE | (FAULT_FLAG_WRITE if write_fault else 0)
        error = fixup_user_fault(mm, vaddr, flags, unlocked)
        if unlocked.is_true:
            return -EAGAIN, 0, 0
        error = error or follow_pfnmap_start(args)
        if error:
            return error, 0, 0
    pfn, addr_mask = args.pfn, args.addr_mask
    error = -EFAULT if write_fault and not args.writable else 0
    # From here on nothing tells type1 that the leaf has gone (R26).
    follow_pfnmap_end(args)
    return error, pfn, addr_mask


def vfio_dma_do_unmap(iommu: VfioIommu, iova: int, size: int) -> tuple[Errno, int]:
    """VFIO_IOMMU_UNMAP_DMA, version 2: (error, bytes unmapped).

    A range that cuts through a mapping is refused; one that holds none is no error.
    """
    error, unmapped = -EINVAL, 0
    mutex_lock(iommu.lock)
    if size and not (iova | size) % PAGE_SIZE:
        first = vfio_find_dma(iommu, iova, 1)
        last = vfio_find_dma(iommu, iova + size - 1, 1)
        cut = (first is not None and first.iova != iova) or (
            last is not None and last.iova + last.size != iova + size
        )
        if not cut:
            error = 0
            while (dma := vfio_find_dma(iommu, iova, size)) is not None:
                unmapped += dma.size
                vfio_remove_dma(iommu, dma)
    mutex_unlock(iommu.lock)
    return_to_user_space()
    return error, unmapped


def vfio_remove_dma(iommu: VfioIommu, dma: VfioDma) -> None:
    if dma.size:
        iommu_unmap(iommu, dma.iova, dma.size)
    iommu.dma_list.remove(dma)
    free(dma)


def iommu_map(iommu: VfioIommu, iova: int, pfn: int, npage: int) -> None:
    """Enter a run of pages.

    Model: one step for the whole run; entries are as small as pages.
    """
    _set_entries(iommu, iova, "iommu_map", tuple(range(pfn, pfn + npage)))


def iommu_unmap(iommu: VfioIommu, iova: int, size: int) -> None:
    _set_entries(iommu, iova, "iommu_unmap", (None,) * (size >> PAGE_SHIFT))


def _set_entries(iommu: VfioIommu, iova: int, verb: str, pfns: tuple[int | None, ...]) -> None:
    first = iova >> PAGE_SHIFT
    cells = tuple(
        iommu.entries.cell(page, f"{iommu.name} {page << PAGE_SHIFT:x}")
        for page in range(first, first + len(pfns))
    )
    last = iova + (len(pfns) - 1) * PAGE_SIZE
    to = f" -> pfn {pfns[0]:x}..{pfns[-1]:x}" if pfns[0] is not None else ""
    atomically(cells, verb, lambda _old: (pfns, None), detail=lambda _: f"{iova:x}..{last:x}{to}")
