"""huge_fault that looks at alignment only, not at the ends of the VMA.

A window of less than a PMD gets a PMD leaf, and with it pages of the device that were
never mapped.  The kernel's inserters trust their caller here.
"""

from dataclasses import replace

from pfnlab import check, scenario
from pfnlab.designs.huge_fault import design, page_fault
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "leaf_lies_in_its_vma"


def huge_fault(vmf: VmFault, order: int) -> vm_fault_t:
    vma = vmf.vma
    vdev = vma.vm_private_data
    addr = align_down(vmf.address, PAGE_SIZE << order)
    pfn = vdev.bar_pfn(vma.vm_pgoff) + (addr - vma.vm_start >> PAGE_SHIFT)
    if pfn % (1 << order) or order == PUD_ORDER:
        return VM_FAULT_FALLBACK
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return VM_FAULT_SIGBUS
        return vmf_insert_pfn_pmd(vmf, pfn, write=False)


leaf_beyond_the_vma = replace(
    design, name="leaf_beyond_the_vma", vm_ops=VmOperations(fault=page_fault, huge_fault=huge_fault)
)


@scenario
def fault_in_a_small_window(lab: Lab) -> None:
    """A vCPU touches a window of half a PMD."""
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev, size=2 * PAGE_SIZE)

    @lab.task
    def vcpu() -> None:
        lab.touch(mapping)

    lab.always(*RULES)


def test_a_pmd_leaf_in_half_a_pmd_shows_too_much() -> None:
    finding = told(fault_in_a_small_window, leaf_beyond_the_vma, RULE, "vcpu:8")

    assert finding.violation.evidence == (
        "pmd 7f0000000000 -> pfn 3800000 maps up to 7f0000004000, vma 7f0000000000 is smaller",
    )


def test_huge_fault_as_it_ships_maps_single_pages() -> None:
    check(fault_in_a_small_window, design)
