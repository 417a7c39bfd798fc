"""Of two zaps of one range the second clears nothing, and returns before the first has flushed.

munmap() has cleared the leaf and not flushed yet; the zap for a disable finds nothing, so it
has nothing to flush.  tlb_finish_mmu() sees by tlb_flush_pending that another zap runs, and
flushes everything: 99baac21e458 ("mm: fix MADV_[FREE|DONTNEED] TLB flush miss problem"), v4.13.
The design here has a zap without that look.
"""

from dataclasses import replace

from pfnlab import Scenario, explore
from pfnlab.designs.huge_fault import design
from pfnlab.engine.word import update
from pfnlab.kernel import *
from pfnlab.kernel.mmu_gather import MmuGather, tlb_flush_mmu_tlbonly, tlb_gather_mmu
from pfnlab.kernel.zap import unmap_single_vma
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_translation_while_memory_disabled"


def zap_vma(vma: Vma) -> None:
    """zap_page_range_single(), but only what was cleared here is flushed."""
    tlb = MmuGather()
    tlb_gather_mmu(tlb, vma.vm_mm)
    unmap_single_vma(tlb, vma, vma.vm_start, vma.vm_end)
    tlb_flush_mmu_tlbonly(tlb)
    update(vma.vm_mm, "tlb_flush_pending", lambda pending: pending - 1)


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    i_mmap_lock_read(vdev.mapping)
    for vma in vdev.mapping.i_mmap:
        zap_vma(vma)
    i_mmap_unlock_read(vdev.mapping)


flush_of_its_own_alone = replace(
    design,
    name="flush_of_its_own_alone",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
)


def build(lab: Lab) -> None:
    vdev = lab.vfio_device()
    mapping = lab.mmap(vdev)
    lab.touch(mapping)

    @lab.task
    def munmap() -> None:
        lab.munmap(mapping)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


two_zaps = Scenario("two_zaps", "A filled mapping is unmapped while memory is turned off.", build)


def test_the_second_zap_returns_before_the_first_has_flushed() -> None:
    finding = told(two_zaps, flush_of_its_own_alone, RULE, "munmap:6,config:7")

    assert finding.violation.evidence == ("an earlier CPU: pmd 7f0000000000 -> pfn 3800000",)


def test_a_zap_that_is_not_alone_flushes_everything() -> None:
    assert explore(two_zaps, design).verdict == "ok"
