"""Model and kernel side by side: one workload, counted on both.

The model is given the addresses at which the kernel had BAR and windows, so nothing is left
that could differ by chance.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from pfnlab.cost.estimate import StepCost, cost
from pfnlab.cost.simulate import Setting
from pfnlab.kernel.design import Design
from pfnlab.kernel.profile import Kernel
from pfnlab.measured import Measured, MeasuredStep
from pfnlab.workload import ThpPolicy

LEVELS = ("pud", "pmd", "pte")
EVENTS = (
    "faults", "signals", *(f"calls {level}" for level in LEVELS),
    *(f"fallbacks {level}" for level in LEVELS),
)  # fmt: skip
# The table of PUDs has 512 GiB, and so nearly always others have it already.
STATE = (
    *(f"leaves {level}" for level in LEVELS), "tables pmd", "tables pte", "memtypes",
    *(f"child leaves {level}" for level in LEVELS),
)  # fmt: skip


@dataclass(frozen=True)
class Count:
    """A count of one step."""

    step: int
    name: str
    kernel: int
    model: int

    @property
    def equal(self) -> bool:
        return self.kernel == self.model


@dataclass(frozen=True)
class Comparison:
    """A workload on a kernel and on a design.  What the kernel did not count is in no row."""

    name: str
    measured: Measured
    setting: Setting
    counts: tuple[Count, ...]

    @property
    def differences(self) -> tuple[Count, ...]:
        return tuple(count for count in self.counts if not count.equal)

    def lacks(self, name: str) -> bool:
        """Whether the kernel's side did not count something."""
        return is_missing(name, self.measured.missing)

    def step_name(self, count: Count) -> str:
        return self.measured.step_names[count.step]


def compare(name: str, measured: Measured, design: Design, kernel: Kernel) -> Comparison:
    """Count the same workload on a design; raises ModelError if that cannot be done."""
    thp = cast(ThpPolicy, measured.thp)
    setting = Setting(design, kernel, thp)
    model = cost(measured.workload, setting)
    counts = [
        count
        for place, (step, found) in enumerate(zip(measured.steps, model.steps, strict=True))
        for count in counts_of(place, step, found, measured.missing)
    ]
    return Comparison(name, measured, setting, tuple(counts))


def counts_of(
    place: int, step: MeasuredStep, model: StepCost, missing: Mapping[str, str]
) -> list[Count]:
    """Everything that was counted on both sides; what is 0 on both is left out."""
    pairs = [(name, step.events, model_event(model, name)) for name in EVENTS]
    pairs += [(name, step.state, model.state.get(name, 0)) for name in STATE]
    errors = {name for name in (*step.events, *model.events) if name.startswith("map_dma ")}
    pairs += [(name, step.events, model.event(name)) for name in sorted(errors)]
    return [
        Count(place, name, kernel.get(name, 0), value)
        for name, kernel, value in pairs
        if not is_missing(name, missing) and (kernel.get(name, 0) or value)
    ]


def is_missing(name: str, missing: Mapping[str, str]) -> bool:
    """A kind of counts is missing by its first word, as "calls", or one by its whole name."""
    return name in missing or name.removeprefix("child ").split(" ")[0] in missing


def model_event(model: StepCost, name: str) -> int:
    # ru_minflt counts faults that were resolved, also those that type1 took for the process.
    return model.event("resolved" if name == "faults" else name)
