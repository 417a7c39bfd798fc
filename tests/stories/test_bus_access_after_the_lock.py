"""A read of a BAR that tests under memory_lock, and goes to the bus after it.

What CVE-2020-12888 was about, by read() instead of a mapping.
"""

from pfnlab.designs.huge_fault import design
from pfnlab.engine.program import scenario
from pfnlab.kernel import *
from pfnlab.kernel.vfio_rdwr import bus_access
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_bus_access_while_memory_disabled"


def read_after_the_lock(vdev: VfioPciDevice) -> None:
    with vdev.memory_lock.read():
        enabled = vdev.memory_enabled
    if enabled:
        bus_access(vdev)


@scenario
def read_vs_disable(lab: Lab) -> None:
    """The BAR is read, by a driver that lets memory_lock go, while memory is turned off."""
    vdev = lab.vfio_device()

    @lab.task
    def reader() -> None:
        read_after_the_lock(vdev)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def read_vs_reset(lab: Lab) -> None:
    """The same while the device is reset."""
    vdev = lab.vfio_device()

    @lab.task
    def reader() -> None:
        read_after_the_lock(vdev)

    @lab.task
    def vmm() -> None:
        lab.reset(vdev)

    lab.always(*RULES)


def test_memory_goes_off_while_the_access_is_on_the_bus() -> None:
    finding = told(read_vs_disable, design, RULE, "reader:4,config:5")

    assert finding.violation.evidence == ("an access to vdev is on the bus, memory is off",)


def test_the_device_is_reset_while_the_access_is_on_the_bus() -> None:
    finding = told(read_vs_reset, design, RULE, "reader:4,vmm:6")

    assert finding.violation.evidence == ("an access to vdev is on the bus, in a reset",)
