"""huge_fault_unrounded: each fault installs the largest leaf that begins at its address.

vfio-pci as 09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn", v6.13) left it,
until c1d9dac0db16 ("vfio/pci: Align huge faults to order", v6.15): releases v6.13 and
v6.14, and 6.12.10 to 6.12.28.  What differs from huge_fault is the test before memory_lock:

    the pfn must be aligned, and so must the touched address, as nothing is rounded down.
    A first touch in the middle of a PMD gets one page.  While it looks for its table,
    a touch of the first page may install the PMD; then there is no table, and the fault
    ends in VM_FAULT_OOM: https://bugzilla.kernel.org/show_bug.cgi?id=220057.

The locks are those of huge_fault.

    mmap_lock  >  memory_lock  >  i_mmap_rwsem
"""

from pfnlab.designs.huge_fault import (
    mmap,
    zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock,
)
from pfnlab.kernel import *


def huge_fault(vmf: VmFault, order: int) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    size = PAGE_SIZE << order
    pfn = vdev.bar_pfn(vma.vm_pgoff) + (vmf.pgoff - vma.vm_pgoff)

    if order and (pfn % (1 << order) or vmf.address % size or vmf.address + size > vma.vm_end):
        return VM_FAULT_FALLBACK

    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        if order == PUD_ORDER:
            return vmf_insert_pfn_pud(vmf, pfn, write=False)
        if order == PMD_ORDER:
            return vmf_insert_pfn_pmd(vmf, pfn, write=False)
        return vmf_insert_pfn(vma, vmf.address, pfn)


def page_fault(vmf: VmFault) -> vm_fault_t:
    return huge_fault(vmf, order=0)


design = Design(
    name="huge_fault_unrounded",
    kernels="v6.13 and v6.14",
    kernel="v6.12",
    profiles=("v6.12",),
    year=2025,
    mmap=mmap,
    vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
