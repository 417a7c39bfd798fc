"""CVE-2022-39188: munmap() takes a VMA out of i_mmap before it flushes the TLBs.

Up to v5.18.  unmap_mapping_range() no longer finds the VMA, so it zaps nothing and waits for
nothing, and memory is turned off while a CPU still has the translation.  Mended by
b67fbebd4cf9 ("mmu_gather: Force tlb-flush VM_PFNMAP vmas"), v5.19.  vfio-pci of that time was
not hit: its zap found VMAs by a list of its own, which a VMA leaves in ->close, and that is
after the flush.
"""

from dataclasses import replace

import pytest

from pfnlab import explore
from pfnlab.designs import huge_fault, insert_page_on_fault, remap_on_fault
from tests.stories.story import told
from tests.stories.test_flush_of_another_zap import two_zaps

RULE = "no_translation_while_memory_disabled"

unlinked_before_the_flush = replace(
    huge_fault.design, name="unlinked_before_the_flush", kernel="v5.8"
)


def test_a_zap_through_i_mmap_misses_what_is_not_flushed() -> None:
    finding = told(two_zaps, unlinked_before_the_flush, RULE, "munmap:7,config:5")

    assert finding.violation.evidence == ("an earlier CPU: pmd 7f0000000000 -> pfn 3800000",)


@pytest.mark.parametrize("kernel", ["v6.1", "v6.12", "v7.3"])
def test_later_kernels_flush_before_they_unlink(kernel: str) -> None:
    for design in (huge_fault.design, insert_page_on_fault.design):
        assert explore(two_zaps, design, kernel=kernel).verdict == "ok"


def test_a_list_of_its_own_keeps_the_vma_until_after_the_flush() -> None:
    result = explore(two_zaps, remap_on_fault.design, kernel="v5.8", rules=["D1"])

    assert result.violation is None
