"""huge_fault that waits politely: memory_lock is tried, and VM_FAULT_RETRY returned.

VM_FAULT_RETRY says that mmap_lock has been dropped.  The caller takes it once more and
never lets the first hold go.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "mmap_lock_dropped_only_if_allowed"


def page_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    if not down_read_trylock(vdev.memory_lock):
        return VM_FAULT_RETRY
    fault = VM_FAULT_SIGBUS
    if vdev.memory_enabled:
        fault = vmf_insert_pfn(vma, vmf.address, vdev.bar_pfn(vmf.pgoff))
    up_read(vdev.memory_lock)
    return fault


retry_with_the_lock_held = replace(
    design, name="retry_with_the_lock_held", vm_ops=VmOperations(fault=page_fault)
)


def test_retry_means_that_mmap_lock_was_dropped() -> None:
    finding = told(zap_vs_fault, retry_with_the_lock_held, RULE, "config:1,vcpu:9")

    assert finding.violation.evidence == ("VM_FAULT_RETRY with mmap_lock still held.",)
