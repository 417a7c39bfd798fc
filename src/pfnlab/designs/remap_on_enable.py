"""remap_on_enable: whoever enables memory maps every VMA again; there is no fault handler.

The sketch of Jason Gunthorpe in the thread of "[PATCH] vfio/pci: take mmap write lock for
io_remap_pfn_range", 2024-05-22, "Something grotesque like this perhaps?".  Not pursued.

The loop walks i_mmap for a VMA whose first page is not there, drops i_mmap_rwsem to take
mmap_lock of its mm for write, and fills all VMAs of that mm.  Nothing else maps them, so an
access in between is SIGBUS.  A mapping made while memory decodes is filled in ->mmap, as in
the branch that the sketch was meant for (see remap_on_mmap); the same mail names the race
that this has with a zap, and asks for a hook behind the link.

It is not safe.  Here the loop runs when memory_lock has been let go: somebody disables
memory before the remap, whose leaves then stay.  It is not asked if a VMA was filled while
the loop waited for mmap_lock, nor if the mm has lost its last user.  Each VMA that is found
takes a reference to an mm, and one is given back.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem
"""

from pfnlab.designs.huge_fault import (
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.designs.remap_on_mmap import mmap
from pfnlab.kernel import *


def vma_populated(vma: Vma) -> bool:
    return walk(vma.vm_mm, vma.vm_start).leaf is not None


def vfio_remap_vma(vma: Vma) -> None:
    pfn = vma.vm_private_data.bar_pfn(vma.vm_pgoff)
    io_remap_pfn_range(vma, vma.vm_start, pfn, vma.size, vma.vm_page_prot)


def remap_all(vdev: VfioPciDevice) -> None:
    mapping = vdev.mapping
    begin_trying()
    while True:
        cur_mm: Mm | None = None
        i_mmap_lock_read(mapping)
        for vma in mapping.i_mmap:
            if not vma_populated(vma):
                cur_mm = vma.vm_mm  # the last one found is the one that counts
                mmgrab(cur_mm)
        i_mmap_unlock_read(mapping)
        if cur_mm is None:
            break

        mmap_write_lock(cur_mm)
        i_mmap_lock_read(mapping)
        for vma in mapping.i_mmap:
            if vma.vm_mm is cur_mm:
                vfio_remap_vma(vma)
        i_mmap_unlock_read(mapping)
        mmap_write_unlock(cur_mm)
        mmdrop(cur_mm)
        try_again()
    done_trying()


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    up_write(vdev.memory_lock)
    remap_all(vdev)


design = Design(
    name="remap_on_enable",
    kernels="never merged",
    kernel="v6.10",
    year=2024,
    mmap=mmap,
    vm_ops=VmOperations(),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
    map_and_up_write_memory_lock=map_and_up_write_memory_lock,
)
