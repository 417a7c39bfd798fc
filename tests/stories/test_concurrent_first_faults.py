"""remap_on_fault before it asked whether the VMA is on vma_list.

Two first faults of one VMA fill it twice, and the second meets BUG_ON(!pte_none()).
Cured by "vfio/pci: Handle concurrent vma faults", v5.14.
"""

from dataclasses import replace

from pfnlab.designs.remap_on_fault import Device, design, mmap_close, mmap_open
from pfnlab.kernel import *
from pfnlab.scenarios.faults import two_faults
from tests.stories.story import told

RULE = "remap_fills_empty_ptes"


def mmap_fault(vmf: VmFault) -> vm_fault_t:
    vma = vmf.vma
    vdev: Device = vma.vm_private_data
    with vdev.vma_lock, vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        io_remap_pfn_range(vma, vma.vm_start, vma.vm_pgoff, vma.size, vma.vm_page_prot)
        vdev.vma_list.append(vma)
        return VM_FAULT_NOPAGE


concurrent_first_faults = replace(
    design,
    name="concurrent_first_faults",
    vm_ops=VmOperations(open=mmap_open, close=mmap_close, fault=mmap_fault),
)


SCHEDULE = "Vma.vm_flags!vcpu0:9,vcpu1:22,vcpu0:11"


def test_two_first_faults_fill_one_vma_twice() -> None:
    finding = told(
        two_faults,
        concurrent_first_faults,
        RULE,
        "Vma.vm_flags!vcpu0:9,vcpu1:22,vcpu0:11",
        alone=True,
    )

    assert finding.violation.evidence == ("pte 7f0000000000 -> pfn 3800000 is there already.",)
