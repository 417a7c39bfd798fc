"""huge_fault that maps again as soon as memory is enabled: it walks i_mmap and inserts.

The step of io_remap_mapping_range() in the series "vfio: vfio device address space mapping"
(Alex Williamson, 2021-08-05):
https://lore.kernel.org/all/162818167535.1511194.6614962507750594786.stgit@omen/.  The rmap
lock finds a VMA and is enough to clear leaves; to install them it is not.  memalloc_nofs_save()
calms lockdep, which has a story of its own: test_allocation_under_the_rmap_lock.
"""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import disable_enable_vs_fault
from tests.stories.story import told

RULE = "leaf_installed_under_mmap_lock"


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    flags = memalloc_nofs_save()
    i_mmap_lock_read(vdev.mapping)
    for vma in vdev.mapping.i_mmap:
        vmf_insert_pfn(vma, vma.vm_start, vdev.bar_pfn(vma.vm_pgoff))
    i_mmap_unlock_read(vdev.mapping)
    memalloc_nofs_restore(flags)
    up_write(vdev.memory_lock)


map_again_under_the_rmap_lock = replace(
    design,
    name="map_again_under_the_rmap_lock",
    map_and_up_write_memory_lock=map_and_up_write_memory_lock,
)


def test_the_rmap_lock_is_not_enough_to_install_a_leaf() -> None:
    finding = told(disable_enable_vs_fault, map_again_under_the_rmap_lock, RULE, "config:16")

    assert finding.violation.task == "config"


def test_a_design_that_leaves_it_to_faults_holds() -> None:
    check(disable_enable_vs_fault, design)
