"""huge_fault before the check of the pfn: a PMD leaf for a pfn that is not aligned.

The address is aligned, the window into the BAR is not, and the leaf drops the low bits of
the pfn.  https://bugzilla.kernel.org/show_bug.cgi?id=219619: artefacts on a display.
Cured by 09dfc8a5f2ce ("vfio/pci: Fallback huge faults for unaligned pfn", v6.13).
"""

from dataclasses import replace

from pfnlab import check, scenario
from pfnlab.designs.huge_fault import design, page_fault
from pfnlab.kernel import *
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "leaf_maps_its_own_pfn"


def huge_fault(vmf: VmFault, order: int) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    addr = align_down(vmf.address, PAGE_SIZE << order)
    pfn = vdev.bar_pfn(vma.vm_pgoff) + (addr - vma.vm_start >> PAGE_SHIFT)
    if addr < vma.vm_start or addr + (PAGE_SIZE << order) > vma.vm_end or order == PUD_ORDER:
        return VM_FAULT_FALLBACK
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        return vmf_insert_pfn_pmd(vmf, pfn, write=False)


unaligned_pfn = replace(
    design, name="unaligned_pfn", vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault)
)


@scenario
def fault_in_an_odd_window(lab: Lab) -> None:
    """A vCPU touches a window that begins at the second page of the BAR."""
    pmd = PAGE_SIZE << PMD_ORDER
    vdev = lab.vfio_device(2 * pmd)
    mapping = lab.mmap(vdev, offset=PAGE_SIZE, size=pmd, address=MMAP_BASE)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    lab.always(*RULES)


def test_a_pmd_leaf_drops_the_low_bits_of_the_pfn() -> None:
    finding = told(fault_in_an_odd_window, unaligned_pfn, RULE, "vcpu:8")

    assert finding.violation.evidence == (
        "pmd 7f0000000000 -> pfn 3800000: page 7f0000000000 must map pfn 3800001, not 3800000",
    )


def test_huge_fault_as_it_ships_falls_back() -> None:
    check(fault_in_an_odd_window, design)
