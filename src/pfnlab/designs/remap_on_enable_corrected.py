"""remap_on_enable_corrected: mmap() and an enable map every VMA on the way to user space.

A repair of remap_on_enable, made here; nobody has proposed it.  Still no fault handler: an
access that finds nothing is SIGBUS.

->mmap comes before the link into i_mmap, and a hook behind it is what the sketch lacks.
task_work_add() is one: the work runs when mmap() returns, with no lock held
(a module would need it exported).  An enable puts
the loop off in the same way, so it never takes mmap_lock inside memory_lock, not even in a
hot reset, which holds that of several devices.

Each round keeps a user of the mm, not only its struct, so that exit_mmap() cannot come in
between; an mm that is dying already is left alone.  It fills the VMAs with mmap_lock held
for write and memory_lock for read, and asks there if memory still decodes: if not, whoever
enables it next has a loop of its own.  The VMAs are found in the mm, so no table is
allocated under i_mmap_rwsem.  vmf_insert_pfn() leaves a slot alone that is taken, and
neither sets VM_PAT nor needs it, so a zap clears no flag of a VMA that is in use; its
documentation wants it called by a fault handler, which this is not.

What stays: the system call that enables memory waits for mmap_lock of every process that
maps the device; a thread that touches the BAR before it returns dies of SIGBUS, where a fault
handler would have waited; and all of every BAR is mapped, used or not.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem
"""

from pfnlab.designs.huge_fault import (
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.designs.remap_on_enable import vma_populated
from pfnlab.kernel import *


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    vm_flags_set(vma, VM_IO | VM_PFNMAP | VM_DONTEXPAND | VM_DONTDUMP)
    task_work_add(lambda: map_all(vdev))
    return 0


def first_unpopulated_mm(vdev: VfioPciDevice) -> Mm | None:
    """The mm of a VMA that is empty, with a user more, or None."""
    found: Mm | None = None
    i_mmap_lock_read(vdev.mapping)
    for vma in vdev.mapping.i_mmap:
        if not vma_populated(vma) and mmget_not_zero(vma.vm_mm):
            found = vma.vm_mm
            break
    i_mmap_unlock_read(vdev.mapping)
    return found


def insert_vmas(vdev: VfioPciDevice, mm: Mm) -> bool:
    """Fill all VMAs of an mm; False if memory is off, or an insert fails."""
    with mm.mmap_lock.write(), vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return False
        for vma in mm.vmas:
            if vma.vm_private_data is vdev and not insert_vma(vdev, vma):
                return False
    return True


def insert_vma(vdev: VfioPciDevice, vma: Vma) -> bool:
    pfn = vdev.bar_pfn(vma.vm_pgoff)
    for addr in range(vma.vm_start, vma.vm_end, PAGE_SIZE):
        if vmf_insert_pfn(vma, addr, pfn) & VM_FAULT_ERROR:
            return False
        pfn += 1
    return True


def map_all(vdev: VfioPciDevice) -> None:
    # An empty VMA found once more has been zapped or forked since: this ends with those.
    more = True
    while more and (mm := first_unpopulated_mm(vdev)) is not None:
        more = insert_vmas(vdev, mm)
        mmput(mm)  # maybe the last one, so no lock is held


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    task_work_add(lambda: map_all(vdev))
    up_write(vdev.memory_lock)


design = Design(
    name="remap_on_enable_corrected",
    kernels="never proposed",
    kernel="v6.10",
    year=2024,
    mmap=mmap,
    vm_ops=VmOperations(),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
    map_and_up_write_memory_lock=map_and_up_write_memory_lock,
)
