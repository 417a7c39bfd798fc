"""huge_fault that drops mmap_lock first, and only on the second try says SIGBUS.

A CPU takes the signal.  follow_fault_pfn() tests `unlocked` before the error: that
mmap_lock was dropped makes it -EAGAIN, and the first try comes again.  While memory is
off MAP_DMA goes round for ever, with iommu->lock held; a fatal signal ends it.
"""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs import huge_fault
from pfnlab.kernel import *
from pfnlab.scenarios.dma import map_dma_vs_disable
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_livelock"


def page_fault(vmf: VmFault) -> vm_fault_t:
    if vmf.flags & FAULT_FLAG_ALLOW_RETRY and not vmf.flags & FAULT_FLAG_TRIED:
        mmap_read_unlock(vmf.vma.vm_mm)
        return VM_FAULT_RETRY
    return huge_fault.page_fault(vmf)


retry_before_sigbus = replace(
    huge_fault.design, name="retry_before_sigbus", vm_ops=VmOperations(fault=page_fault)
)


def test_a_dma_map_of_a_bar_that_is_off_goes_round_for_ever() -> None:
    finding = told(map_dma_vs_disable, retry_before_sigbus, RULE, "config:8,type1:16")

    assert finding.violation.task == "type1"


def test_a_cpu_takes_the_signal() -> None:
    assert check(zap_vs_fault, retry_before_sigbus).violation is None
