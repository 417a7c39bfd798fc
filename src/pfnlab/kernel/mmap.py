"""mmap() and munmap(), in the order in which the kernel links and calls.

Drawn after mm/mmap.c and mm/vma.c.
"""

from pfnlab.engine.errors import ModelError, defined_at
from pfnlab.engine.shared import free
from pfnlab.kernel.errno import EINVAL, Errno
from pfnlab.kernel.locks import (
    i_mmap_lock_write,
    i_mmap_unlock_write,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock,
    mmap_write_unlock,
    return_to_user_space,
)
from pfnlab.kernel.vfio import VfioPciDevice, vfio_pci_core_mmap
from pfnlab.kernel.vma import VM_READ, VM_SHARED, VM_WRITE, Mm, Vma
from pfnlab.kernel.zap import unmap_single_vma


def mmap_region(
    mm: Mm, vdev: VfioPciDevice, address: int, length: int, pgoff: int
) -> tuple[Vma | None, Errno]:
    """Map part of a device file.  Returns the VMA, or an error.

    The order matters to whoever fills page tables in ->mmap: it runs before the VMA is
    linked into i_mmap, where unmap_mapping_range() would find it.
    """
    mmap_write_lock(mm)
    vma = Vma(mm, address, address + length, pgoff, VM_READ | VM_WRITE | VM_SHARED)
    vma.vm_file = vdev
    error = call_mmap(vdev, vma)
    if error:
        free(vma)
    else:
        mm.vmas.append(vma)
        vma_link_file(vma)
    mmap_write_unlock(mm)
    return_to_user_space()
    return (None, error) if error else (vma, 0)


def call_mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    error = vfio_pci_core_mmap(vdev, vma)
    if not isinstance(error, int) or isinstance(error, bool):
        raise ModelError(
            f"mmap returned {error!r}; return 0 or a negative error number",
            defined_at(vdev.design.mmap),
        )
    return error


def vma_link_file(vma: Vma) -> None:
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    mapping.i_mmap.append(vma)
    i_mmap_unlock_write(mapping)


def unlink_file_vma(vma: Vma) -> None:
    mapping = vma.vm_file.mapping
    i_mmap_lock_write(mapping)
    mapping.i_mmap.remove(vma)
    i_mmap_unlock_write(mapping)


def munmap(mm: Mm, address: int) -> Errno:
    """Unmap the VMA that starts at an address.

    Once the VMA is out of the tree the lock is downgraded, so the zap, close() and the
    end of the VMA run beside faults on other VMAs.

    Model: whole VMAs only, and page tables stay.
    """
    mmap_write_lock(mm)
    vma = next((vma for vma in mm.vmas if vma.vm_start == address), None)
    if vma is None:
        mmap_write_unlock(mm)
        return_to_user_space()
        return -EINVAL
    mm.vmas.remove(vma)
    mmap_write_downgrade(mm)
    unmap_single_vma(vma, vma.vm_start, vma.vm_end)
    unlink_file_vma(vma)
    remove_vma(vma)
    mmap_read_unlock(mm)
    return_to_user_space()
    return 0


def remove_vma(vma: Vma) -> None:
    close = vma.vm_ops.close
    if close is not None:
        close(vma)
    free(vma)
