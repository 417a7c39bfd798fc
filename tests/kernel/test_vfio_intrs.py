"""Interrupts are set up with memory on, whatever the user has written."""

from pfnlab.kernel import Lab, Mapping, VfioPciDevice
from pfnlab.kernel.vfio_intrs import vfio_msi_enable
from pfnlab.kernel.vfio_rdwr import bus_access
from tests.kernel.devices import outcome, run


def test_interrupts_are_set_up_with_memory_off() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> bool:
        lab.write_command(vdev, memory=False)
        lab.enable_interrupts(vdev)
        return bool(vdev.memory_enabled)

    assert outcome(code) is False


def test_without_memory_forced_on_the_table_is_out_of_reach() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.write_command(vdev, memory=False)
        with vdev.memory_lock.write():
            bus_access(vdev)

    result, _ = run(code)

    assert result.violation is not None
    assert result.violation.rule == "no_bus_access_while_memory_disabled"


def test_in_d3hot_the_table_is_left_alone() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.set_power_state(vdev, "D3hot")
        vfio_msi_enable(vdev)

    result, _ = run(code)

    assert result.verdict == "ok"
