"""mremap(): a mapping that shrinks, or moves to other addresses.

Drawn after mm/mremap.c and mm/vma.c: copy_vma().
"""

from pfnlab.kernel.errno import EFAULT, EINVAL, ENOMEM, Errno
from pfnlab.kernel.file import get_file
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.kernel.locks import mmap_write_lock, mmap_write_unlock, return_to_user_space
from pfnlab.kernel.move_tables import move_page_tables
from pfnlab.kernel.munmap import do_vmi_munmap
from pfnlab.kernel.pat import untrack_pfn_clear
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.split import vm_area_dup, vma_link_file, vma_open
from pfnlab.kernel.vma import (
    VM_DONTEXPAND,
    VM_PFNMAP,
    Mm,
    Vma,
    find_vma,
    linear_page_index,
)
from pfnlab.kernel.vma_lock import vma_start_write

MREMAP_MAYMOVE, MREMAP_FIXED, MREMAP_DONTUNMAP = 1, 2, 4


def mremap(mm: Mm, addr: int, old_len: int, new_len: int, flags: int, new_addr: int = 0) -> int:
    """The system call: returns the address of the mapping, or a negative error number.

    Model: without MREMAP_FIXED nothing moves, as device memory cannot grow; sizes are
    whole pages; MREMAP_DONTUNMAP names the new address; one VMA is moved, where v7.3 moves
    several at once.
    """
    if flags & (MREMAP_FIXED | MREMAP_DONTUNMAP) and not flags & MREMAP_MAYMOVE:
        return -EINVAL
    if flags & MREMAP_DONTUNMAP and old_len != new_len:
        return -EINVAL
    if addr % PAGE_SIZE or new_len <= 0:
        return -EINVAL
    mmap_write_lock(mm)
    vma = find_vma(mm, addr)
    unlocked = False
    if vma is None:
        result = -EFAULT
    elif flags & (MREMAP_FIXED | MREMAP_DONTUNMAP):
        result = mremap_to(mm, addr, old_len, new_addr, new_len, flags)
    elif new_len < old_len:
        result = do_vmi_munmap(mm, addr + new_len, old_len - new_len, unlock=True)
        unlocked = not result
        result = result or addr
    elif new_len == old_len:
        result = addr
    else:
        result = vma_to_resize(vma, addr, old_len, new_len, flags) or -ENOMEM
    if not unlocked:
        mmap_write_unlock(mm)
    return_to_user_space()
    return result


def mremap_to(mm: Mm, addr: int, old_len: int, new_addr: int, new_len: int, flags: int) -> int:
    """Make room at the new addresses, cut the old ones to size, then move."""
    if new_addr % PAGE_SIZE or (addr < new_addr + new_len and new_addr < addr + old_len):
        return -EINVAL
    if flags & MREMAP_FIXED:
        error = do_vmi_munmap(mm, new_addr, new_len, unlock=False)
        if error:
            return error
    if old_len > new_len:
        error = do_vmi_munmap(mm, addr + new_len, old_len - new_len, unlock=False)
        if error:
            return error
        old_len = new_len
    vma = find_vma(mm, addr)
    if vma is None:
        return -EFAULT
    error = vma_to_resize(vma, addr, old_len, new_len, flags)
    if error:
        return error
    return move_vma(vma, addr, old_len, new_len, new_addr)


def vma_to_resize(vma: Vma, addr: int, old_len: int, new_len: int, flags: int) -> Errno:
    """Whether a VMA may be moved and grow like this.  Device memory may move only."""
    if flags & MREMAP_DONTUNMAP and vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP):
        return -EINVAL
    if old_len > vma.vm_end - addr:
        return -EFAULT
    if new_len > old_len and vma.vm_flags & (VM_DONTEXPAND | VM_PFNMAP):
        return -EFAULT
    return 0


def move_vma(vma: Vma, old_addr: int, old_len: int, new_len: int, new_addr: int) -> int:
    """Move leaves to a copy of the VMA, then unmap the old addresses.

    For a while both VMAs are linked, and each page is mapped by at most one of them.
    """
    mm = vma.vm_mm
    vma_start_write(vma)
    new_vma, need_rmap_locks = copy_vma(
        vma, new_addr, new_len, linear_page_index(vma, old_addr)
    )  # fmt: skip
    move_page_tables(vma, old_addr, new_vma, new_addr, old_len, need_rmap_locks)
    # What PAT tracks has moved, and the zap of the old addresses must not free it.
    if vma.vm_flags & VM_PFNMAP and not running_kernel().pat_context:
        untrack_pfn_clear(vma)
    do_vmi_munmap(mm, old_addr, old_len, unlock=False)
    return new_addr


def copy_vma(vma: Vma, addr: int, length: int, pgoff: int) -> tuple[Vma, bool]:
    """The VMA at the new place, and whether leaves must be moved under the rmap lock.

    They need not: the copy is behind the original in i_mmap, so a walk that has passed
    the old place before the leaves left it still comes to the new one (R21).  Only a
    merged VMA could be in front.
    """
    mm = vma.vm_mm
    new_vma = vm_area_dup(vma, mm, addr, addr + length, pgoff)
    get_file(new_vma.vm_file)
    vma_open(new_vma)
    vma_start_write(new_vma)
    mm.vmas.append(new_vma)
    vma_link_file(new_vma)
    return new_vma, False
