"""mmap(), in the order in which the kernel calls and links.

Drawn after mm/mmap.c and mm/vma.c.
"""

from pfnlab.engine.errors import ModelError, defined_at
from pfnlab.engine.shared import free
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.file import fput, get_file
from pfnlab.kernel.gfp import GFP_KERNEL, might_alloc
from pfnlab.kernel.locks import mmap_write_lock, mmap_write_unlock, return_to_user_space
from pfnlab.kernel.mmu_gather import MmuGather, tlb_finish_mmu, tlb_gather_mmu
from pfnlab.kernel.munmap import do_vmi_munmap, gap_around
from pfnlab.kernel.pagetable import free_pgd_range
from pfnlab.kernel.pat import vma_pfnmap_track_ctx_release
from pfnlab.kernel.split import vma_link_file
from pfnlab.kernel.vfio import VfioPciDevice, vfio_pci_core_mmap
from pfnlab.kernel.vma import VM_READ, VM_SHARED, VM_WRITE, Mm, Vma
from pfnlab.kernel.vma_lock import vma_start_write
from pfnlab.kernel.zap import unmap_vmas


def mmap_region(
    mm: Mm, vdev: VfioPciDevice, address: int, length: int, pgoff: int
) -> tuple[Vma | None, Errno]:
    """Map part of a device file.  Returns the VMA, or an error.

    What was mapped there before is unmapped first: MAP_FIXED.  The new VMA is never
    merged with a neighbour, as it is VM_SPECIAL after ->mmap (R23).

    The order matters to whoever fills page tables in ->mmap: it runs before the VMA is
    linked into i_mmap, where unmap_mapping_range() would find it.
    """
    mmap_write_lock(mm)
    error = do_vmi_munmap(mm, address, length, unlock=False)
    if error:
        mmap_write_unlock(mm)
        return_to_user_space()
        return None, error
    might_alloc(GFP_KERNEL)
    vma = Vma(mm, address, address + length, pgoff, VM_READ | VM_WRITE | VM_SHARED)
    vma.vm_file = get_file(vdev.file)
    error = call_mmap(vdev, vma)
    if error:
        tlb = MmuGather()
        tlb_gather_mmu(tlb, mm)
        unmap_vmas(tlb, (vma,), vma.vm_start, vma.vm_end)
        free_pgd_range(mm, vma.vm_start, vma.vm_end, *gap_around(mm, vma.vm_start, vma.vm_end))
        tlb_finish_mmu(tlb)
        vma_pfnmap_track_ctx_release(vma)
        fput(vma.vm_file)
        free(vma)
    else:
        vma_start_write(vma)
        mm.vmas.append(vma)
        vma_link_file(vma)
    mmap_write_unlock(mm)
    return_to_user_space()
    return (None, error) if error else (vma, 0)


def call_mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    error = vfio_pci_core_mmap(vdev, vma)
    if not isinstance(error, int) or isinstance(error, bool) or error > 0:
        raise ModelError(
            f"mmap returned {error!r}; return 0 or a negative error number",
            defined_at(vdev.design.mmap),
        )
    return error
