"""D3hot and the low power feature."""

import pytest

from pfnlab import ModelError
from pfnlab.kernel import EINVAL, VM_FAULT_SIGBUS, Lab, Mapping, VfioPciDevice
from pfnlab.kernel.pci import PCI_D3hot
from pfnlab.kernel.vfio_power import vfio_pci_set_power_state
from tests.kernel.devices import outcome, run


def test_a_touch_in_d3hot_is_a_signal_and_d0_ends_that() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> tuple[object, object]:
        lab.set_power_state(vdev, "D3hot")
        asleep = lab.touch(mapping)
        lab.set_power_state(vdev, "D0")
        return asleep, lab.touch(mapping)

    assert outcome(code) == (VM_FAULT_SIGBUS, 0)


def test_d0_does_not_switch_memory_on() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.set_power_state(vdev, "D3hot")
        lab.write_command(vdev, memory=False)
        lab.set_power_state(vdev, "D0")
        return lab.touch(mapping)

    assert outcome(code) == VM_FAULT_SIGBUS


def test_memory_switched_on_in_d3hot_does_not_decode() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.set_power_state(vdev, "D3hot")
        lab.write_command(vdev, memory=True)
        return lab.touch(mapping)

    assert outcome(code) == VM_FAULT_SIGBUS


def test_a_power_state_must_have_a_name_that_there_is() -> None:
    with pytest.raises(ModelError, match="no power state 'D7'; there are D0, D3hot"):
        run(lambda lab, vdev, _mapping: lab.set_power_state(vdev, "D7"))


def test_d3hot_needs_memory_lock_for_write() -> None:
    result, _ = run(lambda _lab, vdev, _mapping: vfio_pci_set_power_state(vdev, PCI_D3hot))

    assert result.violation is not None
    assert result.violation.rule == "lockdep_assert_held"


def test_low_power_is_a_signal_until_it_ends() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> tuple[object, ...]:
        entered = lab.pm_entry(vdev)
        asleep = lab.touch(mapping)
        again = lab.pm_entry(vdev)
        left = lab.pm_exit(vdev)
        return entered, asleep, again, left, lab.touch(mapping)

    assert outcome(code) == (0, VM_FAULT_SIGBUS, -EINVAL, 0, 0)


def test_to_leave_low_power_twice_is_no_error() -> None:
    assert outcome(lambda lab, vdev, _mapping: lab.pm_exit(vdev)) == 0


def test_low_power_ends_without_switching_memory_on() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.pm_entry(vdev)
        lab.write_command(vdev, memory=False)
        lab.pm_exit(vdev)
        return lab.touch(mapping)

    assert outcome(code) == VM_FAULT_SIGBUS


def test_memory_switched_on_in_low_power_is_still_a_signal() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.pm_entry(vdev)
        lab.write_command(vdev, memory=True)
        return lab.touch(mapping)

    assert outcome(code) == VM_FAULT_SIGBUS
