"""FLR, VFIO_DEVICE_RESET and hot resets."""

from dataclasses import replace

import pytest

from pfnlab import Design, ModelError, Scenario, explore
from pfnlab.catalogue import all_designs
from pfnlab.designs import huge_fault
from pfnlab.kernel import (
    EAGAIN,
    EBUSY,
    VM_FAULT_SIGBUS,
    Lab,
    Mapping,
    VfioPciDevice,
    up_write,
)
from pfnlab.kernel.profile import KERNELS
from tests.kernel.devices import outcome, run

WITHOUT = replace(huge_fault.design, name="without", zap_and_trylock_memory_lock=None)


def test_resets_succeed_while_nobody_has_the_device_lock() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> tuple[int, int]:
        return lab.reset(vdev), lab.hot_reset(vdev)

    assert outcome(code) == (0, 0)


@pytest.mark.parametrize("name", ["reset", "hot_reset"])
def test_a_reset_gives_up_where_the_device_lock_is_taken(name: str) -> None:
    def reset(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        return getattr(lab, name)(vdev)

    def sysfs(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.read_sriov_numvfs(vdev)

    result, returned = run(reset, sysfs)

    assert result.verdict == "ok"
    assert {value for value in returned if value is not None} == {0, -EAGAIN}


def test_an_flr_that_did_not_happen_leaves_the_device_in_d3() -> None:
    def config(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> bool:
        lab.set_power_state(vdev, "D3hot")
        lab.flr(vdev)
        return bool(vdev.memory_enabled)

    def sysfs(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
        lab.read_sriov_numvfs(vdev)

    result, returned = run(config, sysfs)

    assert result.verdict == "ok"
    assert {value for value in returned if value is not None} == {True, False}


def test_a_reset_takes_the_leaves_and_the_next_touch_brings_them_back() -> None:
    def touch(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.touch(mapping)
        lab.reset(vdev)
        return lab.touch(mapping)

    assert outcome(touch) == 0


def test_a_reset_does_not_switch_memory_on() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.write_command(vdev, memory=False)
        lab.reset(vdev)
        return lab.touch(mapping)

    assert outcome(code) == VM_FAULT_SIGBUS


def test_a_reset_wakes_the_device() -> None:
    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> object:
        lab.set_power_state(vdev, "D3hot")
        lab.reset(vdev)
        return lab.touch(mapping)

    assert outcome(code) == 0


def two_devices(design: Design, kernel: str | None = None) -> tuple[str, set[object]]:
    """A hot reset of two devices while a task maps the second: the rule broken, the answers."""
    answers: set[object] = set()

    def build(lab: Lab) -> None:
        first, second = lab.vfio_device(), lab.vfio_device()
        lab.device_set(first, second)
        mapping = lab.mmap(second)
        lab.add_task("vcpu", lambda: lab.touch(mapping))
        lab.add_task("vmm", lambda: answers.add(lab.hot_reset(first)))

    result = explore(
        Scenario("two", "Two devices.", build), design, kernel=kernel,
        rules=["no_lock_held_in_user_space", "no_deadlock", "no_leaf_while_memory_disabled"],
    )  # fmt: skip
    return (result.violation.rule if result.violation is not None else ""), answers


@pytest.mark.parametrize("name", ["huge_fault", "remap_on_fault", "insert_vma_on_fault"])
def test_a_hot_reset_that_meets_a_fault_gives_up_and_lets_go_of_everything(name: str) -> None:
    assert two_devices(all_designs()[name]) == ("", {0, -EBUSY})


@pytest.mark.parametrize("name", ["huge_fault", "remap_on_fault"])
def test_a_hot_reset_that_fails_in_the_middle_of_a_zap_lets_go_of_everything(name: str) -> None:
    answers: set[object] = set()

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        lab.device_set(vdev)
        mapping = lab.mmap(vdev)
        other = lab.mmap(vdev)
        lab.touch(mapping)
        lab.add_task("vcpu", lambda: lab.touch(other))
        lab.add_task("reader", lambda: lab.read_bar(vdev))
        lab.add_task("vmm", lambda: answers.add(lab.hot_reset(vdev)))

    result = explore(
        Scenario("busy", "A busy device.", build), all_designs()[name],
        rules=["no_lock_held_in_user_space", "no_deadlock", "no_leaf_while_memory_disabled"],
    )  # fmt: skip

    assert result.violation is None
    assert answers == {0, -EBUSY}


def test_every_design_that_ships_can_be_hot_reset() -> None:
    assert all(design.zap_and_trylock_memory_lock for design in all_designs().values())


def test_a_hot_reset_needs_a_hook_of_the_design() -> None:
    with pytest.raises(ModelError, match="without has no zap_and_trylock_memory_lock"):
        run(lambda lab, vdev, _mapping: lab.hot_reset(vdev), design=WITHOUT)


def test_a_reset_needs_no_such_hook() -> None:
    assert outcome(lambda lab, vdev, _mapping: lab.reset(vdev), design=WITHOUT) == 0


def test_a_hook_that_does_not_say_if_it_has_the_lock_is_an_error() -> None:
    design = replace(WITHOUT, zap_and_trylock_memory_lock=lambda vdev: None)

    with pytest.raises(ModelError, match="return True or False"):
        run(lambda lab, vdev, _mapping: lab.hot_reset(vdev), design=design)


def test_a_hot_reset_needs_a_device_set() -> None:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        lab.add_task("vmm", lambda: lab.hot_reset(vdev))

    with pytest.raises(ModelError, match=r"lab\.device_set\(vdev"):
        explore(Scenario("none", "No set.", build), huge_fault.design)


@pytest.mark.parametrize("kernel", KERNELS)
def test_hot_reset_info_is_copied_in_the_walk_of_v6_9_only(kernel: str) -> None:
    assert KERNELS[kernel].hot_reset_info_in_walk == (kernel == "v6.9")


def test_a_design_may_map_again_wherever_memory_decodes_again() -> None:
    calls: list[bool] = []

    def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
        calls.append(bool(vdev.memory_enabled))
        up_write(vdev.memory_lock)

    design = replace(
        huge_fault.design,
        name="maps_again",
        map_and_up_write_memory_lock=map_and_up_write_memory_lock,
    )

    def code(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> int:
        calls.clear()
        lab.write_command(vdev, memory=False)
        lab.write_command(vdev, memory=True)
        lab.set_power_state(vdev, "D3hot")
        lab.set_power_state(vdev, "D0")
        lab.pm_entry(vdev)
        lab.pm_exit(vdev)
        lab.reset(vdev)
        lab.flr(vdev)
        lab.hot_reset(vdev)
        return len(calls)

    assert outcome(code, design=design) == 6
    assert all(calls)


def test_a_design_says_what_a_hook_must_be() -> None:
    with pytest.raises(ModelError, match="map_and_up_write_memory_lock must be a function"):
        replace(WITHOUT, map_and_up_write_memory_lock=1)  # type: ignore[arg-type]
