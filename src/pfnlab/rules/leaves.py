"""What a leaf may map."""

from collections.abc import Iterator

from pfnlab.kernel import PAGE_SHIFT, PAGE_SIZE, Lab, Leaf, Vma, leaf_rule
from pfnlab.kernel.geometry import pages


@leaf_rule
def leaf_maps_its_own_pfn(lab: Lab, vma: Vma, leaf: Leaf) -> Iterator[str]:
    """A page of the mapping shows another page of the device than the one asked for.

    Rule: R16.
    vfio_pci_core_mmap() checks the window; every page in it has one pfn.
    """
    first = vma.first_pfn
    if first is None:
        return
    for page in range(1 << leaf.order):
        address = leaf.addr + page * PAGE_SIZE
        right = first + (address - vma.vm_start >> PAGE_SHIFT)
        if leaf.pfn + page != right:
            yield f"{leaf}: page {address:x} must map pfn {right:x}, not {leaf.pfn + page:x}"
            return


@leaf_rule
def leaf_lies_in_its_bar(lab: Lab, vma: Vma, leaf: Leaf) -> Iterator[str]:
    """A leaf maps what is behind the BAR, which mmap() has not checked.

    Rule: R16.
    A VMA that can grow, without VM_DONTEXPAND, becomes larger than the window that
    vfio_pci_core_mmap() has checked.
    """
    first, end = vma.first_pfn, leaf.pfn + (1 << leaf.order)
    if first is None:
        return
    for address, size in (bar for vdev in lab.devices for bar in vdev.bars):
        last = (address >> PAGE_SHIFT) + pages(size)
        if address >> PAGE_SHIFT <= first < last < end:
            yield f"{leaf} maps up to pfn {end:x}, and the BAR ends at {last:x}"


@leaf_rule
def leaf_lies_in_its_vma(lab: Lab, vma: Vma, leaf: Leaf) -> Iterator[str]:
    """A leaf maps addresses outside of its VMA.

    Rule: R29.
    mm/huge_memory.c: the callers of vmf_insert_pfn_pmd() and _pud() check the range.
    """
    end = leaf.addr + (PAGE_SIZE << leaf.order)
    if leaf.addr < vma.vm_start or end > vma.vm_end:
        yield f"{leaf} maps up to {end:x}, {vma} is smaller"
