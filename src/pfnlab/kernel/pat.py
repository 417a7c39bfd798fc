"""PAT tracking of pfn mappings, up to v6.15: the flag VM_PAT.

Drawn after arch/x86/mm/pat/memtype.c.

Model: only the flag.  Reservations of memory types come with the rest of PAT.
"""

from pfnlab.kernel.errno import Errno
from pfnlab.kernel.vma import VM_PAT, Vma, __vm_flags_mod, vm_flags_set


def track_pfn_remap(vma: Vma, prot: str, pfn: int, addr: int, size: int) -> Errno:
    """Called by remap_pfn_range(): a whole VMA is reserved and marked."""
    if addr == vma.vm_start and size == vma.size:
        vm_flags_set(vma, VM_PAT)
    return 0


def track_pfn_copy(dst_vma: Vma, src_vma: Vma) -> None:
    """Called by copy_page_range(): the copy of a marked VMA is marked too."""
    if src_vma.vm_flags & VM_PAT:
        vm_flags_set(dst_vma, VM_PAT)


def untrack_pfn_clear(vma: Vma) -> None:
    """Called for a VMA that was just duplicated, and that nobody else can see."""
    __vm_flags_mod(vma, 0, VM_PAT)


def untrack_pfn(vma: Vma) -> None:
    """Called by every zap of a VM_PFNMAP VMA, whatever part of it goes.

    The caller may hold mmap_lock for read only; the kernel passes the check by.
    """
    if vma.vm_flags & VM_PAT:
        __vm_flags_mod(vma, 0, VM_PAT)
