"""huge_fault with zaps of its own that do not flush the TLBs, or flush too late.

Not published: what unmap_mapping_range() does beside clearing leaves.  A CPU that has used
a leaf goes on to use what it has cached, and takes no fault that memory_lock could stop.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab import explore
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.kernel.mmu_gather import MmuGather, tlb_gather_mmu
from pfnlab.kernel.pagetable import zap_range
from pfnlab.kernel.tlb import flush_tlb_mm_range
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_translation_while_memory_disabled"


def each_vma(vdev: VfioPciDevice, do: Callable[[Vma], None]) -> None:
    i_mmap_lock_read(vdev.mapping)
    for vma in vdev.mapping.i_mmap:
        do(vma)
    i_mmap_unlock_read(vdev.mapping)


def clear(vma: Vma) -> None:
    tlb = MmuGather()
    tlb_gather_mmu(tlb, vma.vm_mm)
    zap_range(tlb, vma, vma.vm_start, vma.vm_end)


def flush(vma: Vma) -> None:
    flush_tlb_mm_range(vma.vm_mm, vma.vm_start, vma.vm_end)


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    each_vma(vdev, clear)


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    """COMMAND is written by now."""
    each_vma(vdev, flush)
    up_write(vdev.memory_lock)


def zap_and_flush(vdev: VfioPciDevice) -> None:
    zap_and_down_write_memory_lock(vdev)
    each_vma(vdev, flush)


flush_forgotten = replace(
    design,
    name="flush_forgotten",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
)
flush_after_the_write = replace(
    flush_forgotten,
    name="flush_after_the_write",
    map_and_up_write_memory_lock=map_and_up_write_memory_lock,
)
flush_before_the_write = replace(
    flush_forgotten, name="flush_before_the_write", zap_and_down_write_memory_lock=zap_and_flush
)


@pytest.mark.parametrize(
    "wrong", [flush_forgotten, flush_after_the_write], ids=lambda wrong: wrong.name
)
def test_a_cpu_still_uses_what_it_has_cached(wrong: Design) -> None:
    finding = told(zap_vs_fault, wrong, RULE, "vcpu:11,config:6")

    assert finding.violation.evidence == ("vcpu: pmd 7f0000000000 -> pfn 3800000",)


def test_a_flush_before_the_write_is_in_time() -> None:
    assert explore(zap_vs_fault, flush_before_the_write).verdict == "ok"
