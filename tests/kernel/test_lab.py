"""What happens while a scenario is set up: a design may hang there as well."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab import ModelError, Result, explore, replay
from pfnlab.designs import huge_fault
from pfnlab.engine.program import Scenario
from pfnlab.kernel import (
    PAGE_SIZE,
    Design,
    Errno,
    Lab,
    VfioPciDevice,
    Vma,
    down_read_trylock,
)
from pfnlab.rules import RULES


def build(lab: Lab) -> None:
    mapping = lab.mmap(lab.vfio_device(2 * PAGE_SIZE))
    lab.add_task("vcpu", lambda: lab.touch(mapping))


maps = Scenario("maps", "A mapping is made.", build)


def waits(vdev: VfioPciDevice, _vma: Vma) -> Errno:
    with vdev.memory_lock.write(), vdev.memory_lock.read():
        return 0


def spins(vdev: VfioPciDevice, _vma: Vma) -> Errno:
    with vdev.memory_lock.write():
        while not down_read_trylock(vdev.memory_lock):
            pass
    return 0


def hangs(mmap: Callable[[VfioPciDevice, Vma], Errno]) -> Design:
    return replace(huge_fault.design, name="hangs", mmap=mmap)


def told(result: Result) -> tuple[str, str, list[str]]:
    (finding,) = result.findings
    frames = [frame.function for frame in finding.trace.call_trace]
    return finding.violation.rule, finding.violation.evidence[0], frames


def test_a_design_that_waits_for_itself_in_the_setup_is_a_finding() -> None:
    rule, evidence, frames = told(explore(maps, hangs(waits)))

    assert rule == "no_deadlock"
    assert evidence == "setup waits in down_read for vdev.memory_lock: nobody can wake it."
    assert frames == ["mmap_region", "call_mmap", "vfio_pci_core_mmap", "waits"]


def test_a_design_that_never_ends_in_the_setup_is_a_finding() -> None:
    rule, evidence, _frames = told(explore(maps, hangs(spins)))

    assert rule == "every_task_ends"
    assert evidence == "setup makes more than 50000 accesses."


@pytest.mark.parametrize("policy", ["dpor", "source", "exhaustive", "random"])
def test_what_hangs_in_the_setup_is_told_by_every_policy(policy: str) -> None:
    found = explore(maps, hangs(waits), policy=policy)
    again = replay(maps, hangs(waits), found.schedule or "")

    assert found.violation is not None and again is not None
    assert again.violation == found.violation


def test_a_scenario_that_waits_for_itself_in_its_setup_is_wrong() -> None:
    def build_waiting(lab: Lab) -> None:
        vdev = lab.vfio_device(2 * PAGE_SIZE)
        with vdev.memory_lock.write(), vdev.memory_lock.read():
            pass

    scenario = Scenario("waits", "It waits.", build_waiting)
    with pytest.raises(ModelError, match=r"setup waits in down_read for vdev\.memory_lock: nobody"):
        explore(scenario, huge_fault.design)


def test_a_task_cannot_make_the_first_process_or_a_device() -> None:
    def maps_late(lab: Lab) -> None:
        vdev = lab.vfio_device(2 * PAGE_SIZE)
        lab.add_task("user", lambda: lab.mmap(vdev) and None)

    def makes_late(lab: Lab) -> None:
        lab.add_task("user", lambda: lab.vfio_device() and None)

    for late, message in (
        (maps_late, r"the scenario has made no process: call lab\.first_process\(\) before"),
        (makes_late, r"lab\.vfio_device\(\) is called by a task"),
    ):
        with pytest.raises(ModelError, match=message):
            explore(Scenario("late", "A task is first.", late), huge_fault.design)


def test_a_setup_that_fails_says_nothing_of_the_rules_that_come_after_it() -> None:
    def build_with_rules(lab: Lab) -> None:
        build(lab)
        lab.always(*RULES)

    scenario = Scenario("maps", "A mapping is made.", build_with_rules)

    assert explore(maps, huge_fault.design).stateless
    assert not explore(scenario, huge_fault.design).stateless
    assert not explore(scenario, hangs(waits)).stateless
