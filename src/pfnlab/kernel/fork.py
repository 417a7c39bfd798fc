"""fork(): another mm with copies of the VMAs and their leaves.

Drawn after kernel/fork.c: dup_mmap() and mm/memory.c: copy_page_range().
"""

from pfnlab.engine.access import atomically
from pfnlab.kernel.file import get_file
from pfnlab.kernel.geometry import PAGE_SIZE, PMD_ORDER, PTE_ORDER, PUD_ORDER, pmd_addr_end
from pfnlab.kernel.gfp import GFP_PGTABLE_USER, might_alloc
from pfnlab.kernel.locks import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    mmap_write_lock,
    mmap_write_lock_nested,
    mmap_write_unlock,
    return_to_user_space,
)
from pfnlab.kernel.pagetable import Leaf, Slot, slot_of
from pfnlab.kernel.pat import track_pfn_copy, untrack_pfn_clear
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.split import vm_area_dup, vma_open
from pfnlab.kernel.vma import VM_DONTCOPY, VM_PFNMAP, Mm, Vma
from pfnlab.kernel.vma_lock import vma_start_write


def dup_mmap(mm: Mm, oldmm: Mm) -> None:
    """Fill a new mm with what the old one maps.

    Both mmap_locks are held for write throughout; nobody else knows the new one yet.

    Model: memory does not run out, so no copy fails half way.

    Model: without flush_tlb_mm(oldmm) at the end, which is for what a copy has made
    read-only; the leaves of a shared pfn mapping stay as they are.
    """
    mmap_write_lock(oldmm)
    mmap_write_lock_nested(mm)
    for mpnt in oldmm.vmas:
        vma_start_write(mpnt)
        if mpnt.vm_flags & VM_DONTCOPY:
            continue
        tmp = vm_area_dup(mpnt, mm, mpnt.vm_start, mpnt.vm_end, mpnt.vm_pgoff)
        # What PAT tracks belongs to the parent; track_pfn_copy() asks for more.
        if tmp.vm_flags & VM_PFNMAP:
            untrack_pfn_clear(tmp)
        get_file(tmp.vm_file)
        if running_kernel().open_before_copy:
            mm.vmas.append(tmp)
            vma_open(tmp)
            link_file_after(tmp, mpnt)
            copy_page_range(tmp, mpnt)
        else:
            link_file_after(tmp, mpnt)
            mm.vmas.append(tmp)
            copy_page_range(tmp, mpnt)
            vma_open(tmp)
    mmap_write_unlock(mm)
    mmap_write_unlock(oldmm)
    return_to_user_space()


def link_file_after(vma: Vma, prev: Vma) -> None:
    """Link into i_mmap right behind the parent's VMA.

    A walk that has passed the parent before its leaves were copied still meets the
    child; one that comes later meets both.
    """
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    mapping.i_mmap.insert_after(vma, prev)
    i_mmap_unlock_write(mapping)


def copy_page_range(dst_vma: Vma, src_vma: Vma) -> None:
    """Copy the leaves of a pfn mapping, a PMD's worth of addresses at a time.

    Leaves of pfn mappings are always copied, at every level: a fault could not bring
    them back for every driver.

    Model: what PAT refuses to track is not copied, and fork() goes on; the kernel's fails.
    """
    if src_vma.vm_flags & VM_PFNMAP and track_pfn_copy(dst_vma, src_vma):
        return
    address, end = src_vma.vm_start, src_vma.vm_end
    while address < end:
        stop = pmd_addr_end(address, end)
        copy_pmd_range(dst_vma, src_vma, address, stop)
        address = stop


def copy_pmd_range(dst_vma: Vma, src_vma: Vma, addr: int, end: int) -> None:
    """One hold of both page-table locks.

    A PUD leaf is copied as it is, also by a VMA that has only a part of it.
    """
    might_alloc(GFP_PGTABLE_USER)
    dst_mm, src_mm = dst_vma.vm_mm, src_vma.vm_mm
    places = [(PUD_ORDER, addr), (PMD_ORDER, addr)]
    places += [(PTE_ORDER, page) for page in range(addr, end, PAGE_SIZE)]
    source = [slot_of(src_mm, order, address) for order, address in places]
    target = [slot_of(dst_mm, order, address) for order, address in places]

    def copy(old: tuple[Slot, ...]) -> tuple[tuple[Slot, ...], tuple[Leaf, ...]]:
        from_slots, to_slots = old[: len(source)], old[len(source) :]
        copied = [a if a is not None else b for a, b in zip(from_slots, to_slots, strict=True)]
        leaves = tuple(slot for slot in from_slots if isinstance(slot, Leaf))
        return (*from_slots, *copied), leaves

    atomically(
        (*source, *target), "copy", copy,
        detail=lambda leaves: f"{addr:x}..{end - 1:x}, {len(leaves)} leaves, to {dst_mm}",
    )  # fmt: skip
