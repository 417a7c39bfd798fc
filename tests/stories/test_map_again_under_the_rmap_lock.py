"""huge_fault whose zap hook also tries to map: it walks i_mmap and inserts.

The step that the series "vfio: vfio device address space mapping" (Alex Williamson,
2021-08-05) took when memory was enabled again, in io_remap_mapping_range():
https://lore.kernel.org/all/162818167535.1511194.6614962507750594786.stgit@omen/.  The rmap
lock finds a VMA and is enough to clear leaves; to install them it is not.
"""

from dataclasses import replace

from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "leaf_installed_under_mmap_lock"


def map_again(vdev: VfioPciDevice) -> None:
    i_mmap_lock_read(vdev.mapping)
    for vma in vdev.mapping.i_mmap:
        vmf_insert_pfn(vma, vma.vm_start, vdev.bar_pfn(vma.vm_pgoff))
    i_mmap_unlock_read(vdev.mapping)
    down_write(vdev.memory_lock)


map_again_under_the_rmap_lock = replace(
    design, name="map_again_under_the_rmap_lock", zap_and_down_write_memory_lock=map_again
)


def test_the_rmap_lock_is_not_enough_to_install_a_leaf() -> None:
    finding = told(zap_vs_fault, map_again_under_the_rmap_lock, RULE, "config:3")

    assert finding.violation.task == "config"
