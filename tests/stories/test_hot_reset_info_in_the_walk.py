"""remap_on_fault, and hot reset info that is copied to user space in a walk of the bus.

The circle that lockdep reported on v6.9-rc5:

    vma_lock  >  memory_lock  >  pci_bus_sem  >  mmap_lock  >  vma_lock

A fault has the first and the last edge, a hot reset the second, and the copy the third.
Cured in May 2024, for v6.10: the devices are gathered first, and copied after the walk.
"""

from pfnlab import explore
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.engine.program import scenario
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "lock_order"


@scenario
def hot_reset_info(lab: Lab) -> None:
    """A VMM touches a BAR, resets the device set, and asks what a hot reset reaches."""
    vdev = lab.vfio_device()
    lab.device_set(vdev)
    mapping = lab.mmap(vdev)

    @lab.task
    def vmm() -> None:
        lab.touch(mapping)
        lab.hot_reset(vdev)
        lab.hot_reset_info(vdev)

    lab.always(*RULES)


def test_lockdep_sees_the_circle_through_pci_bus_sem() -> None:
    finding = told(hot_reset_info, remap_on_fault.design, RULE, "vmm:50", alone=True)

    edges = [line.partition(":")[0] for line in finding.violation.evidence]
    assert edges == [
        "PciBus.pci_bus_sem > Mm.mmap_lock",
        "Mm.mmap_lock > VfioPciDevice.memory_lock",
        "VfioPciDevice.memory_lock > PciBus.pci_bus_sem",
    ]


def test_huge_fault_on_that_kernel_has_it_too() -> None:
    result = explore(hot_reset_info, huge_fault.design, kernel="v6.9", rules=[RULE])

    assert result.violation is not None
    assert result.violation.rule == RULE
    assert "PciBus.pci_bus_sem > Mm.mmap_lock" in result.violation.evidence[0]


def test_a_copy_after_the_walk_breaks_the_circle() -> None:
    result = explore(hot_reset_info, remap_on_fault.design, kernel="v6.10", rules=[RULE])

    assert result.verdict == "ok"
