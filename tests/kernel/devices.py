"""Run code with a device as the only task, or two tasks, of a scenario."""

from collections.abc import Callable
from typing import Any

from pfnlab import Design, Result, Scenario, explore
from pfnlab.designs.huge_fault import design as huge_fault
from pfnlab.kernel import Lab, Mapping, VfioPciDevice
from pfnlab.rules import RULES

Code = Callable[[Lab, VfioPciDevice, Mapping], Any]


def run(
    *codes: Code, design: Design = huge_fault, is_virtfn: bool = False
) -> tuple[Result, list[Any]]:
    """Explore tasks that share a device with one mapping: the result, and what each returned.

    Returns of all interleavings are collected, as a task may return something else in each.
    """
    returned: list[Any] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(is_virtfn=is_virtfn)
        lab.device_set(vdev)
        mapping = lab.mmap(vdev)

        def add(number: int, code: Code) -> None:
            lab.add_task(f"task{number}", lambda: returned.append(code(lab, vdev, mapping)))

        for number, code in enumerate(codes):
            add(number, code)
        lab.always(*RULES)

    return explore(Scenario("devices", "Tasks and a device.", build), design), returned


def outcome(code: Code, *, design: Design = huge_fault, is_virtfn: bool = False) -> Any:
    """What one task returns; it must break no rule."""
    result, returned = run(code, design=design, is_virtfn=is_virtfn)
    assert result.verdict == "ok", result.violation
    return returned[-1]
