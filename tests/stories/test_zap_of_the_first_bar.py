"""A zap of BAR 0 alone: mappings of the other BARs stay when memory is switched off."""

from dataclasses import replace

from pfnlab import check
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.resets import second_bar_vs_hot_reset
from pfnlab.scenarios.zaps import second_bar_vs_disable, zap_vs_fault
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def zap_and_down_write_memory_lock(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    zap_first_bar(vdev)


def zap_and_trylock_memory_lock(vdev: VfioPciDevice) -> bool:
    if not down_write_trylock(vdev.memory_lock):
        return False
    zap_first_bar(vdev)
    return True


def zap_first_bar(vdev: VfioPciDevice) -> None:
    start = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX)
    length = VFIO_PCI_INDEX_TO_OFFSET(VFIO_PCI_BAR0_REGION_INDEX + 1) - start
    unmap_mapping_range(vdev.mapping, start, length, even_cows=True)


first_bar_only = replace(
    design,
    name="first_bar_only",
    zap_and_down_write_memory_lock=zap_and_down_write_memory_lock,
    zap_and_trylock_memory_lock=zap_and_trylock_memory_lock,
)


def test_the_second_bar_stays_mapped_after_a_disable() -> None:
    told(second_bar_vs_disable, first_bar_only, RULE, "vcpu:9,config:5")


def test_and_after_a_hot_reset() -> None:
    told(second_bar_vs_hot_reset, first_bar_only, RULE, "vcpu:9,vmm:12")


def test_a_device_with_one_bar_does_not_show_it() -> None:
    check(zap_vs_fault, first_bar_only)


def test_a_zap_of_all_bars_empties_both() -> None:
    check(second_bar_vs_disable, design)
