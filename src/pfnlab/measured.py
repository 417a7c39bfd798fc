"""What a real kernel did with a workload, as plain data.

Counts have the names that cost/ gives them, so that the two can stand side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from pfnlab.workload import Workload, from_data, to_data


@dataclass(frozen=True)
class MeasuredStep:
    """One step: what happened in it (`events`), and what there is after it (`state`).

    events   "faults" by ru_minflt; "signals" for touches that ended in SIGBUS; "calls pud",
             "calls pmd", "calls pte" and "fallbacks ..." of the fault handler; "map_dma -EFAULT"
             and the like for an ioctl that failed
    state    "leaves pud", "leaves pmd", "leaves pte" and "tables pmd", "tables pte" of all
             windows; "VmPTE", in bytes; "memtypes"; "child ..." for the forked process
    seconds  by the clock of the machine that was measured
    A count that could not be taken is not there: Measured.missing says why.
    """

    name: str
    events: Mapping[str, int]
    state: Mapping[str, int]
    seconds: float = 0.0


@dataclass(frozen=True)
class Measured:
    """A workload on a real kernel.  steps[0] is the mmap() of its windows.

    workload  with the addresses at which BAR and windows really were
    kernel    its release, as uname prints it, "6.1.0-56-amd64"
    version   of its source, "6.1.192"; distributions may count otherwise in their releases
    design    the name of the design that its symbols show, or ""
    virtual   measured in a virtual machine, and by emulation if `machine` says so
    thp       the policy in force: "always", "madvise" or "never"
    missing   what was not counted, and why
    """

    workload: Workload
    steps: tuple[MeasuredStep, ...]
    kernel: str
    design: str
    device: str
    machine: str
    virtual: bool
    date: str
    thp: str
    version: str = ""
    missing: Mapping[str, str] = field(default_factory=dict)

    @property
    def step_names(self) -> tuple[str, ...]:
        """One for each step: those with the same words are numbered."""
        words = [step.name for step in self.steps]
        again = [words[:place].count(name) for place, name in enumerate(words)]
        return tuple(
            f"{name} ({number + 1})" if number else name
            for name, number in zip(words, again, strict=True)
        )

    def step(self, name: str) -> MeasuredStep:
        """The first of a name."""
        return next(step for step in self.steps if step.name == name)


def measured_to_data(measured: Measured) -> dict[str, Any]:
    """As JSON can hold it."""
    data = {part.name: getattr(measured, part.name) for part in fields(measured)}
    data["workload"] = to_data(measured.workload)
    data["steps"] = [
        {part.name: getattr(step, part.name) for part in fields(step)} for step in measured.steps
    ]
    return data


def measured_from_data(data: Mapping[str, Any]) -> Measured:
    """The opposite of measured_to_data(); raises KeyError or TypeError for anything else."""
    rest = {name: data[name] for name in data if name not in ("workload", "steps")}
    steps = tuple(MeasuredStep(**step) for step in data["steps"])
    measured = Measured(workload=from_data(data["workload"]), steps=steps, **rest)
    check_types(measured, "workload", "steps")
    for step in steps:
        check_types(step)
        for name, count in (*step.events.items(), *step.state.items()):
            if type(count) is not int:
                raise TypeError(f"{name} is no number")
    return measured


def check_types(data: Any, *but: str) -> None:
    """Whether texts, numbers and tables of a dataclass are that; raises TypeError."""
    for part in fields(data):
        kind: Any = part.type if isinstance(part.type, type) else Mapping
        kind = (int, float) if kind is float else kind
        if part.name not in but and not isinstance(getattr(data, part.name), kind):
            raise TypeError(f"{part.name} is not what it should be")
