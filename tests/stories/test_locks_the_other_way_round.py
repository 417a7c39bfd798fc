"""remap_on_fault, but a fault takes memory_lock before vma_lock.

zap_and_down_write_memory_lock() holds vma_lock when it takes memory_lock.  lockdep sees
the circle in the order of the classes; the search also finds the deadlock itself.
"""

from dataclasses import replace

from pfnlab.designs.remap_on_fault import Device, design, mmap_close, mmap_open
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "lock_order"


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev: Device = vma.vm_private_data
    with vdev.memory_lock.read(), vdev.vma_lock:
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        if vma not in vdev.vma_list:
            io_remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, vma.size, vma.vm_page_prot)
            vdev.vma_list.append(vma)
        return VM_FAULT_NOPAGE


locks_the_other_way_round = replace(
    design,
    name="locks_the_other_way_round",
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
)


def test_lockdep_sees_the_circle_of_vma_lock_and_memory_lock() -> None:
    finding = told(zap_vs_fault, locks_the_other_way_round, RULE, "vcpu:8,config:3", alone=True)

    assert len(finding.violation.evidence) == 2


def test_the_two_tasks_wait_for_each_other_in_the_end() -> None:
    told(zap_vs_fault, locks_the_other_way_round, "no_deadlock", "vcpu:8,config:2", alone=True)
