"""huge_fault under a spinlock of the device: what it calls takes locks that sleep."""

from dataclasses import replace

import pytest

from pfnlab import explore, scenario
from pfnlab.designs import huge_fault
from pfnlab.engine import Program, Shared, completion, condition, join, mutex, spinlock
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault
from pfnlab.scenarios.zaps import zap_vs_fault
from tests.stories.story import told

RULE = "no_sleep_under_spinlock"


class Device(VfioPciDevice):
    faults = spinlock()


def with_spinlock(vmf: VmFault, order: int) -> vm_fault_t:
    with vmf.vma.vm_private_data.faults:
        return huge_fault.huge_fault(vmf, order)


def page_fault(vmf: VmFault) -> vm_fault_t:
    return with_spinlock(vmf, 0)


handler_under_a_spinlock = replace(
    huge_fault.design,
    name="handler_under_a_spinlock",
    device=Device,
    vm_ops=VmOperations(fault=page_fault, huge_fault=with_spinlock),
)


def test_a_handler_under_a_spinlock_may_sleep() -> None:
    finding = told(first_fault, handler_under_a_spinlock, RULE, "vcpu:9")

    assert finding.violation.evidence == (
        "vcpu holds vdev.faults since step 8, which is a spinlock.",
    )


def zap_under_a_spinlock(vdev: VfioPciDevice) -> None:
    down_write(vdev.memory_lock)
    spin_lock(vdev.faults)
    huge_fault.zap_bars(vdev)
    spin_unlock(vdev.faults)


def test_a_zap_under_a_spinlock_may_sleep() -> None:
    design = replace(
        huge_fault.design,
        name="zap_under_a_spinlock",
        device=Device,
        zap_and_down_write_memory_lock=zap_under_a_spinlock,
    )
    result = explore(zap_vs_fault, design)

    assert result.violation is not None
    assert result.violation.rule == RULE


class Memory(Shared):
    outer = spinlock()
    inner = spinlock()
    slow = mutex()
    done = completion()
    woken = condition()

    def __init__(self) -> None:
        self.name = "memory"


def sleeps(memory: Memory, how: str) -> None:
    if how == "mutex":
        memory.slow.lock()
    elif how == "completion":
        memory.done.complete()
        memory.done.wait_for_completion()
    elif how == "join":
        join("other")
    elif how == "allocation":
        might_alloc(GFP_KERNEL)
    elif how == "another spinlock":
        with memory.inner:
            pass
    elif how == "trylock" and memory.slow.trylock():
        memory.slow.unlock()
    elif how == "atomic allocation":
        might_alloc(GFP_NOWAIT)
    elif how == "wait that lets it go":
        memory.woken.wait(memory.outer)


WAYS = {"mutex": RULE, "completion": RULE, "join": RULE, "allocation": RULE,
        "another spinlock": None, "trylock": None, "atomic allocation": None,
        "wait that lets it go": "no_deadlock"}  # fmt: skip


@pytest.mark.parametrize(("how", "rule"), WAYS.items(), ids=WAYS)
def test_a_program_may_not_wait_under_a_spinlock_but_for_another(
    how: str, rule: str | None
) -> None:
    @scenario
    def program(program: Program) -> None:
        """A task does something with a spinlock held."""
        memory = Memory()

        def run() -> None:
            with memory.outer:
                sleeps(memory, how)

        program.add_task("one", run)
        program.add_task("other", lambda: None)

    violation = explore(program).violation

    assert (violation.rule if violation is not None else None) == rule
