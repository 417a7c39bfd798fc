"""What a workload costs, exactly, at any size.

The shape of the workload is laid out a few times, small: with short runs and small tables.
Each of these samples is simulated, touch by touch.  A count is a sum over the runs, of so
much for each entry, and for each table and page below it; so it is linear in what
shape.features() lists, and the real count is the combination of the samples that gives the
real features.  One more sample than is needed shows that the counts of this design repeat
like that; if they do not, there is an error and no number.

The model's tables end with the PUD.  The tables of PUDs, one in 512 GiB, are added: tables.py.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from itertools import product

from pfnlab.cost.address import check_user_space
from pfnlab.cost.linear import Row, Span
from pfnlab.cost.shape import FOLDED_BAR, Layout, Shape
from pfnlab.cost.simulate import Counted, Setting, simulate
from pfnlab.cost.tables import UsedTables, pud_table_counts, tables_of, tables_of_sample
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PAGE_SIZE, REAL, Geometry
from pfnlab.workload import Mremap, Workload

TABLE_SIZE = 4096
MOST_PAGES = 1 << 18  # that are simulated one by one


class DoesNotRepeat(ModelError):
    """A design whose counts are no sum over alike parts of a mapping."""


@dataclass(frozen=True)
class StepCost:
    """One step: what happened in it (`events`), and what there was after each of its actions,
    in the order in which they were done (`moments`).
    """

    name: str
    events: Mapping[str, int]
    moments: tuple[Mapping[str, int], ...]

    @property
    def state(self) -> Mapping[str, int]:
        """What there is after it."""
        return self.moments[-1]

    def event(self, *names: str) -> int:
        return sum(self.events.get(name, 0) for name in names)

    @property
    def faults(self) -> int:
        """Of user space, and those that type1 takes for it."""
        return self.event("faults", "kernel faults")

    @property
    def calls(self) -> int:
        """Calls of the fault handlers."""
        return self.event("calls pte", "calls pmd", "calls pud")

    @property
    def fallbacks(self) -> int:
        return self.event("fallbacks pte", "fallbacks pmd", "fallbacks pud")

    @property
    def tables(self) -> int:
        """Pages of page tables that there are after it."""
        return tables_in(self.state)

    @property
    def table_bytes(self) -> int:
        return self.tables * TABLE_SIZE


def mapped_pages(state: Mapping[str, int]) -> int:
    """What the leaves map, in pages."""
    shifts = zip(("pte", "pmd", "pud"), REAL.shifts, strict=True)
    return sum(state.get(f"leaves {level}", 0) << shift for level, shift in shifts)


def tables_in(state: Mapping[str, int]) -> int:
    return sum(state.get(f"tables {level}", 0) for level in ("pte", "pmd", "pud"))


@dataclass(frozen=True)
class Cost:
    """A workload on a design.  steps[0] is the mmap() of its windows."""

    workload: Workload
    setting: Setting
    steps: tuple[StepCost, ...]
    samples: int  # simulations that it took
    pages: int  # touched in them

    @property
    def total(self) -> StepCost:
        """All steps together, and what there is at the end."""
        events: Counter[str] = Counter()
        for step in self.steps:
            events.update(step.events)
        return StepCost("all", events, self.moments)

    @property
    def moments(self) -> tuple[Mapping[str, int], ...]:
        return tuple(moment for step in self.steps for moment in step.moments)

    @property
    def most_table_bytes(self) -> int:
        """What page tables take when there are most."""
        return max(map(tables_in, self.moments)) * TABLE_SIZE

    @property
    def most_leaves(self) -> Mapping[str, int]:
        """What there is when the most is mapped."""
        return max(self.moments, key=mapped_pages)

    def step(self, name: str) -> StepCost:
        """The first of a name."""
        return next(step for step in self.steps if step.name == name)


@dataclass(frozen=True)
class Plan:
    """Which samples to simulate, with which weights, and one to check with.

    Without samples, the workload is simulated as it is.
    """

    shape: Shape
    layouts: tuple[Layout, ...]
    weights: Row
    check: tuple[Layout, Row] | None


def cost(workload: Workload, setting: Setting) -> Cost:
    """Count; raises ModelError for what is not a workload, or does not repeat."""
    return estimate(make_plan(Shape(workload)), setting)


def estimate(plan: Plan, setting: Setting) -> Cost:
    """A plan is for a workload, and does for any design."""
    if not plan.layouts:
        return step_by_step(plan.shape.workload, setting)
    samples = [run_sample(plan.shape, layout, setting) for layout in plan.layouts]
    if plan.check is not None:
        layout, weights = plan.check
        check_repeats(samples, weights, run_sample(plan.shape, layout, setting), setting)
    combined = combine(samples, plan.weights, setting)
    shape, layout = plan.shape, plan.layouts[0]
    used = [
        [
            (
                tables_of_sample(shape, layout, moment.puds),
                tables_of_sample(shape, layout, moment.child_puds),
            )
            for moment in step.moments
        ]
        for step in samples[0]
    ]
    with_puds = with_pud_tables(shape.workload, combined, used)
    pages = sum(step.events["touches"] for sample in samples for step in sample)
    return Cost(plan.shape.workload, setting, tuple(with_puds), len(samples), pages)


def moves(workload: Workload) -> bool:
    """Where a mapping has been moved to is not in the shape of a workload."""
    return any(isinstance(action, Mremap) for step in workload.steps for action in step.actions)


def step_by_step(
    workload: Workload, setting: Setting, what: str = "a workload with mremap"
) -> Cost:
    """Count without a shape, page by page; `what` is why."""
    pages = sum(window.size for window in workload.windows) // PAGE_SIZE
    if pages > MOST_PAGES:
        raise ModelError(
            f"{what} is counted page by page, and {pages:,} pages are too many; "
            f"at most {MOST_PAGES:,}"
        )
    for action in (action for step in workload.steps for action in step.actions):
        if isinstance(action, Mremap):
            check_user_space(action.address, workload.windows[action.window].size)
    bar = workload.bar
    if bar.address is not None:  # type1 takes what is low for RAM; what counts is the alignment
        bar = replace(bar, address=FOLDED_BAR + bar.address % (PAGE_SIZE << REAL.shifts[2]))
    counted = simulate(replace(workload, bar=bar), setting, REAL)
    touches = sum(step.events["touches"] for step in counted)
    steps = [as_it_is(step) for step in counted]
    used = [
        [(tables_of(moment.puds), tables_of(moment.child_puds)) for moment in step.moments]
        for step in counted
    ]
    return Cost(workload, setting, tuple(with_pud_tables(workload, steps, used)), 1, touches)


def as_it_is(step: Counted) -> StepCost:
    return StepCost(step.name, step.events, tuple(moment.state for moment in step.moments))


def run_sample(shape: Shape, layout: Layout, setting: Setting) -> list[Counted]:
    return simulated(shape.folded(layout), setting, layout.geometry)


# Mappings of other sizes often have the same samples, with other weights.
simulated = lru_cache(maxsize=2048)(simulate)


def make_plan(shape: Shape) -> Plan:
    """The smallest samples whose features give those of the workload."""
    if moves(shape.workload):
        return Plan(shape, (), [], None)
    span = Span()
    layouts: list[Layout] = []
    target = shape.features(shape.real())
    weights: Row | None = None
    for layout in candidates(shape):
        features = shape.features(layout)
        if weights is None:
            if span.add(features):
                layouts.append(layout)
                weights = span.weights(target)
        else:
            again = span.weights(features)
            if again is not None and layout not in layouts:
                return Plan(shape, tuple(layouts), weights, (layout, again))
    if weights is None:
        raise ModelError("this workload has a shape that cannot be counted in parts")
    return Plan(shape, tuple(layouts), weights, None)


def candidates(shape: Shape) -> Iterator[Layout]:
    """Layouts of a shape, the smallest first."""
    ptes, pmds = shape.smallest()
    growing = [index for index, run in enumerate(shape.runs) if run.grows]
    longer: list[tuple[int, ...]] = [(), *((index,) for index in growing)]
    longer += [(index, index) for index in growing]
    found: dict[tuple[object, ...], Layout] = {}
    for more_ptes, more_pmds in product(range(3), range(3)):
        geometry = Geometry(ptes + more_ptes, pmds + more_pmds)
        for extra in longer:
            layout = shape.layout(geometry, extra)
            if layout is not None:
                found.setdefault((geometry, layout.counts), layout)
    return iter(sorted(found.values(), key=lambda layout: layout.end))


def combine(samples: list[list[Counted]], weights: Row, setting: Setting) -> list[StepCost]:
    steps = []
    for place, first in enumerate(samples[0]):
        same = [sample[place] for sample in samples]
        if any(len(step.moments) != len(first.moments) for step in same):
            raise does_not_repeat(setting, "rounds that differ")
        moments = zip(*(step.moments for step in same), strict=True)
        steps.append(
            StepCost(
                first.name,
                combined([step.events for step in same], weights, setting),
                tuple(
                    combined([moment.state for moment in alike], weights, setting)
                    for alike in moments
                ),
            )
        )
    return steps


def combined(counts: list[Counter[str]], weights: Row, setting: Setting) -> dict[str, int]:
    total: dict[str, int] = {}
    for name in sorted({name for count in counts for name in count}):
        value = sum(
            (weight * count[name] for weight, count in zip(weights, counts, strict=True)),
            Fraction(0),
        )
        if value.denominator != 1 or value < 0:
            raise does_not_repeat(setting, name)
        if value:
            total[name] = int(value)
    return total


def check_repeats(
    samples: list[list[Counted]], weights: Row, sample: list[Counted], setting: Setting
) -> None:
    for predicted, found in zip(combine(samples, weights, setting), sample, strict=True):
        if len(predicted.moments) != len(found.moments):
            raise does_not_repeat(setting, "rounds that differ")
        pairs = zip(
            (predicted.events, *predicted.moments),
            (found.events, *(moment.state for moment in found.moments)),
            strict=True,
        )
        for counts, real in pairs:
            for name in sorted(counts.keys() | real.keys()):
                if counts.get(name, 0) != real[name]:
                    raise does_not_repeat(setting, name)


def does_not_repeat(setting: Setting, name: str) -> DoesNotRepeat:
    return DoesNotRepeat(
        f"{setting.design.name}: the count of {name!r} does not grow with the mapping as that of "
        "a handler does that looks only at edges, alignment and slots"
    )


def with_pud_tables(
    workload: Workload, steps: list[StepCost], used: list[list[UsedTables]]
) -> list[StepCost]:
    counts = pud_table_counts(workload, used)
    return [
        replace(
            step,
            moments=tuple(
                {**moment, **puds} for moment, puds in zip(step.moments, tables, strict=True)
            ),
        )
        for step, tables in zip(steps, counts, strict=True)
    ]


__all__ = ["REAL", "Cost", "Plan", "StepCost", "cost", "estimate", "make_plan"]
