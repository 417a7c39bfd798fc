"""What may be reachable while a device does not decode memory."""

from collections.abc import Callable

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import PAGE_SIZE, Lab, Mapping, VfioPciDevice
from pfnlab.rules import RULES, no_leaf_while_memory_disabled

Code = Callable[[Lab, VfioPciDevice, Mapping], None]


def rule_broken_by(code: Code) -> tuple[str, tuple[str, ...]]:
    """The rule that one task breaks, with its evidence; "" if none."""

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)
        lab.add_task("task", lambda: code(lab, vdev, mapping))
        lab.always(no_leaf_while_memory_disabled)

    violation = explore(Scenario("one_task", "One task.", build), huge_fault.design).violation
    return (violation.rule, violation.evidence) if violation is not None else ("", ())


def disable_without_a_zap(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
    lab.touch(mapping)
    with vdev.memory_lock.write():
        vdev.memory_enabled = False


def disable_with_a_zap(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
    lab.touch(mapping)
    lab.write_command(vdev, memory=False)


def disable_with_nothing_mapped(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
    with vdev.memory_lock.write():
        vdev.memory_enabled = False


def disable_and_touch(lab: Lab, vdev: VfioPciDevice, mapping: Mapping) -> None:
    lab.write_command(vdev, memory=False)
    lab.touch(mapping)


def test_a_leaf_left_on_a_disabled_device_breaks_d1() -> None:
    assert rule_broken_by(disable_without_a_zap) == (
        "no_leaf_while_memory_disabled",
        ("pmd 7f0000000000 -> pfn 3800000",),
    )


@pytest.mark.parametrize(
    "code",
    [disable_with_a_zap, disable_with_nothing_mapped, disable_and_touch],
    ids=lambda code: code.__name__,
)
def test_no_leaf_on_a_disabled_device_breaks_nothing(code: Code) -> None:
    assert rule_broken_by(code) == ("", ())


def test_a_leaf_of_another_device_is_no_matter() -> None:
    def build(lab: Lab) -> None:
        first = lab.vfio_device(PAGE_SIZE)
        second = lab.vfio_device(PAGE_SIZE, bar_address=0x3900000000)
        mapping = lab.mmap(first)

        @lab.task
        def task() -> None:
            lab.touch(mapping)
            lab.write_command(second, memory=False)

        lab.always(no_leaf_while_memory_disabled)

    result = explore(Scenario("two_devices", "Two devices.", build), huge_fault.design)
    assert result.verdict == "ok"


def test_every_rule_that_ships_has_a_number_and_a_sentence() -> None:
    for rule in RULES:
        assert rule.rule.number
        assert rule.rule.sentence.endswith(".")
