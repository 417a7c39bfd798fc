"""huge_fault_unaligned: each fault installs the largest leaf that its address allows.

vfio-pci as f9e54c3a2f5b ("vfio/pci: implement huge_fault support", v6.12) merged it, until
09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn", v6.13).  Drawn after
drivers/vfio/pci/vfio_pci_core.c of v6.12.0.  What differs from huge_fault is the test
before memory_lock:

    only the virtual address must be aligned, not the pfn.  A window at an odd offset of
    the BAR gets a PMD leaf all the same, which drops the low bits of the pfn and shows
    another part of the BAR: https://bugzilla.kernel.org/show_bug.cgi?id=219619.
    It is the touched address itself that must be aligned: nothing is rounded down, so a
    first touch in the middle of a PMD gets one page, as in huge_fault_unrounded.

The locks are those of huge_fault, and as safe.

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

    # vm_start needs no test: the address lies in the VMA and begins the leaf.
    if order and (vmf.address % size or vmf.address + size > vma.vm_end):
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
    name="huge_fault_unaligned",
    kernels="v6.12",
    kernel="v6.12",
    profiles=("v6.12",),
    year=2024,
    mmap=mmap,
    vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault),
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)
