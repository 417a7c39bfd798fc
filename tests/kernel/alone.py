"""Run a piece of kernel code as the only task of a scenario."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pfnlab import Design, Result, Scenario, explore
from pfnlab.designs.huge_fault import design as huge_fault
from pfnlab.kernel import PAGE_SIZE, Lab, Leaf, LeafRule, Mapping, Mm, VfioPciDevice, Vma
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.kernel.pagetable import walk


@dataclass(frozen=True)
class Place:
    """What the code may work on: a device with one BAR, all of it mapped."""

    lab: Lab
    vdev: VfioPciDevice
    mapping: Mapping
    mm: Mm
    vma: Vma


@dataclass(frozen=True)
class Outcome:
    """`rule` is "" if none broke; `returned` is what the code returned the last time."""

    rule: str
    evidence: tuple[str, ...]
    returned: Any
    result: Result


def alone(
    code: Callable[[Place], Any],
    *,
    design: Design = huge_fault,
    pages: int = 4,
    leaf_rules: tuple[LeafRule, ...] = (),
    kernel: str | None = None,
    memtype: str | None = "UC-",
) -> Outcome:
    """What happens when `code` runs and nothing else does.

    It runs more than once, so it must not keep anything between its runs.  It may look at the
    state past all steps, so it runs each time, and is not fed what it was told before.
    """
    returned: list[Any] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(pages * PAGE_SIZE, memtype=memtype)
        mapping = lab.mmap(vdev)
        (vma,) = mapping.mm.vmas
        place = Place(lab, vdev, mapping, mapping.mm, vma)
        lab.always(*leaf_rules)

        @lab.task
        def task() -> None:
            returned.append(code(place))

    scenario = Scenario("alone", "One task.", build)
    result = explore(scenario, design, policy="exhaustive", kernel=kernel)
    violation = result.violation
    return Outcome(
        rule=violation.rule if violation is not None else "",
        evidence=violation.evidence if violation is not None else (),
        returned=returned[-1] if returned else None,
        result=result,
    )


def leaves_seen(mm: Mm, *, first: int = -16, last: int = 64, base: int = MMAP_BASE) -> list[Leaf]:
    """The leaves that a task can see from these pages on, lowest address first."""
    walks = [walk(mm, base + page * PAGE_SIZE) for page in range(first, last)]
    found = {seen.leaf.addr: seen.leaf for seen in walks if seen.leaf is not None}
    return [found[address] for address in sorted(found)]
