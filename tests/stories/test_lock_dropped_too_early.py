"""huge_fault, but mmap_lock is let go before the leaf is inserted.

VM_FAULT_COMPLETED makes that legal for the caller.  For the page table it is not: with
nobody holding mmap_lock its tables may be freed, and the VMA with them.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from pfnlab.scenarios.zaps import munmap_vs_fault
from tests.stories.story import told

RULE = "leaf_installed_under_mmap_lock"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    mmap_read_unlock(vma.vm_mm)
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            mmap_read_lock(vma.vm_mm)
            return VM_FAULT_SIGBUS
        return vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff)) | VM_FAULT_COMPLETED


lock_dropped_too_early = replace(
    design, name="lock_dropped_too_early", vm_ops=VmOperations(fault=page_fault)
)


def test_a_leaf_is_installed_with_no_mmap_lock() -> None:
    told(first_fault, lock_dropped_too_early, RULE, "vcpu:11")


def test_munmap_frees_the_vma_under_the_handler() -> None:
    told(
        munmap_vs_fault,
        lock_dropped_too_early,
        "no_use_after_free",
        "vcpu:10,munmap:13",
        alone=True,
    )
