"""A copy of a VMA, and a VMA cut in two.

Drawn after kernel/fork.c: vm_area_dup() and mm/vma.c: __split_vma(), vma_modify().
"""

from pfnlab.kernel.file import get_file
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, PMD_ORDER, align_down
from pfnlab.kernel.gfp import GFP_KERNEL, might_alloc
from pfnlab.kernel.locks import i_mmap_lock_write, i_mmap_unlock_write
from pfnlab.kernel.pagetable import zap_huge_leaf_across
from pfnlab.kernel.pat import vma_pfnmap_track_ctx_dup
from pfnlab.kernel.vma import Mm, Vma, linear_page_index
from pfnlab.kernel.vma_lock import vma_start_write


def vm_area_dup(orig: Vma, mm: Mm, start: int, end: int, pgoff: int) -> Vma:
    """A copy of a VMA that nobody else can see yet.

    The kernel copies the struct; its callers set the mm and the range that are arguments
    here.  VM_PAT is copied like every flag: who may not have it calls
    untrack_pfn_clear().
    """
    name = f"vma {start:x}" if mm is not orig.vm_mm else f"vma {start:x}-{end:x}"
    might_alloc(GFP_KERNEL)
    vma = Vma(mm, start, end, pgoff, orig.vm_flags, name)
    vma.vm_page_prot = orig.vm_page_prot
    vma.vm_ops = orig.vm_ops
    vma.vm_private_data = orig.vm_private_data
    vma.vm_file = orig.vm_file
    if orig.first_pfn is not None:
        vma.first_pfn = orig.first_pfn + pgoff - orig.vm_pgoff
    vma_pfnmap_track_ctx_dup(orig, vma)
    return vma


def vma_open(vma: Vma) -> None:
    if vma.vm_ops.open is not None:
        vma.vm_ops.open(vma)


def vma_link_file(vma: Vma) -> None:
    """Link a VMA into i_mmap, behind every other one.

    A walk that has passed the place from which leaves are moved still meets the place
    to which they go.

    Model: a list in the order of linking.  The kernel has a tree ordered by vm_pgoff, in
    which a VMA goes behind those with the same offset.
    """
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    mapping.i_mmap.append(vma)
    i_mmap_unlock_write(mapping)


def split_vma(vma: Vma, addr: int, new_below: bool) -> None:
    """Cut a VMA at an address inside of it.  Needs mmap_lock for write.

    `vma` stays in use, as the part above addr if `new_below`, else as the part below.  A
    driver hears of the new part by ->open, while the old part still has its full range:
    both cover the new part's addresses then, and the new one is not linked anywhere.

    Model: no VMA refuses to be split, and memory does not run out.
    """
    start, end = (vma.vm_start, addr) if new_below else (addr, vma.vm_end)
    new = vm_area_dup(vma, vma.vm_mm, start, end, linear_page_index(vma, start))
    get_file(new.vm_file)
    vma_open(new)

    vma_start_write(vma)
    vma_start_write(new)
    # Who walks i_mmap sees the old range, or both parts; never a gap.
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    split_huge_pmd_if_needed(vma, addr)
    if new_below:
        pages = addr - vma.vm_start >> PAGE_SHIFT
        vma.vm_start = addr
        vma.vm_pgoff = vma.vm_pgoff + pages
        if vma.first_pfn is not None:
            vma.first_pfn = vma.first_pfn + pages
    else:
        vma.vm_end = addr
    mapping.i_mmap.append(new)
    vma.vm_mm.vmas.append(new)
    i_mmap_unlock_write(mapping)


def split_huge_pmd_if_needed(vma: Vma, address: int) -> None:
    """A leaf that would go on across the cut goes away; a fault brings back what fits (R24).

    A PUD leaf that is cut where a PMD begins stays as it is, and both VMAs share it.
    """
    start = align_down(address, PAGE_SIZE << PMD_ORDER)
    end = start + (PAGE_SIZE << PMD_ORDER)
    if start != address and vma.vm_start <= start and end <= vma.vm_end:
        split_huge_pmd_address(vma, address)


def split_huge_pmd_address(vma: Vma, address: int) -> None:
    """Clear the leaf at an address, if it is larger than a page: a pfn mapping is not split."""
    zap_huge_leaf_across(vma.vm_mm, address)


def vma_modify(vma: Vma, start: int, end: int) -> Vma:
    """Cut a VMA so that it covers just [start, end), and return it: vma_modify_flags().

    Model: no two VMAs are merged.  All mappings of device memory are VM_SPECIAL, and
    those never are (R23).
    """
    if start > vma.vm_start:
        split_vma(vma, start, new_below=True)
    if end < vma.vm_end:
        split_vma(vma, end, new_below=False)
    return vma
