"""huge_fault that fills the VMA in its mmap hook, to save the faults.

->mmap runs before the VMA is linked into i_mmap: a zap in between does not find it, and
its leaves outlive the disable.  Named by Jason Gunthorpe in the thread of 2024-05.  A
look at memory_enabled under memory_lock does not help, as the lock is let go before the
link.
"""

from dataclasses import replace

from pfnlab import scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
    pfn = vdev.bar_pfn(vma.vm_pgoff)
    vma.vm_page_prot = pgprot_noncached(vma.vm_page_prot)
    with vdev.memory_lock.read():
        if not vdev.memory_enabled:
            return 0  # faults will fill it, once memory is enabled
        return io_remap_pfn_range(vma, vma.vm_start, pfn, vma.size, vma.vm_page_prot)


populate_in_mmap = replace(design, name="populate_in_mmap", mmap=mmap)


@scenario
def zap_vs_mmap(lab: Lab) -> None:
    """A process maps the BAR while memory decoding is turned off."""
    vdev = lab.vfio_device()
    mm = lab.process()

    @lab.task
    def vmm() -> None:
        lab.mmap(vdev, mm=mm)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


def test_a_zap_between_populate_and_link_finds_no_vma() -> None:
    finding = told(zap_vs_mmap, populate_in_mmap, RULE, "vmm:8,config:5")

    assert len(finding.violation.evidence) == 4
