"""huge_fault that zaps by mm: it takes mmap_lock while it holds memory_lock for write.

The order of faults is the other way round.  The idea of a re-map that walks i_mmap and
takes the mmap_lock of each mm (Jason Gunthorpe, 2024-05) has this wait in it, unless
memory_lock is let go in between.  One task is enough to see it: test_zap_against_the_order.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_deadlock"


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    for vma in vdev.mapping.i_mmap:
        with vma.vm_mm.mmap_lock.read():
            zap_vma_ptes(vma, vma.vm_start, vma.size)


zap_climbs_to_mmap_lock = replace(
    design,
    name="zap_climbs_to_mmap_lock",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
)


def test_two_readers_of_mmap_lock_do_not_stop_each_other_but_lockdep_objects() -> None:
    told(zap_vs_fault, zap_climbs_to_mmap_lock, "lock_order", "vcpu:5,config:3", alone=True)


def zap_for_write(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    for vma in vdev.mapping.i_mmap:
        with vma.vm_mm.mmap_lock.write():
            zap_vma_ptes(vma, vma.vm_start, vma.size)


def test_a_fault_and_a_zap_for_write_wait_for_each_other() -> None:
    zap = replace(
        zap_climbs_to_mmap_lock,
        name="zap_for_write",
        kernel="v6.4",
        zap_and_down_write_memory_lock=zap_for_write,
    )

    finding = told(zap_vs_fault, zap, RULE, "vcpu:4,config:3", alone=True)

    assert len(finding.violation.evidence) == 3  # the cycle, and both that wait
