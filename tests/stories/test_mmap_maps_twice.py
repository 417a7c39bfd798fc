"""A driver's mmap that calls io_remap_pfn_range() twice for the same range.

mmap_lock is held for write, as it must be; the PTEs are there already.  From v6.16 on the
second call is refused before it gets there.
"""

from dataclasses import replace

from pfnlab import scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from tests.stories.story import told

RULE = "remap_fills_empty_ptes"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    pfn = vdev.bar_pfn(vma.vm_pgoff)
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    for _attempt in range(2):
        error = io_remap_pfn_range(vma, vma.vm_start, pfn, vma.size, vma.vm_page_prot)
        if error:
            return error
    return 0


mmap_maps_twice = replace(design, name="mmap_maps_twice", kernel="v6.12", mmap=mmap)


@scenario
def one_mmap(lab: Lab) -> None:
    """A process maps the BAR."""
    vdev = lab.vfio_device()
    lab.process()

    @lab.task
    def vmm() -> None:
        lab.mmap(vdev)


def test_the_second_remap_finds_its_ptes_taken() -> None:
    finding = told(one_mmap, mmap_maps_twice, RULE, "vmm:8")

    functions = [frame.function for frame in finding.trace.call_trace]
    assert functions[-2:] == ["remap_pfn_range_internal", "remap_pte_range"]
