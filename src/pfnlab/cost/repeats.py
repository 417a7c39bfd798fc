"""Counting a design that nobody has compared with full simulations.

Small tables stand for real ones (estimate.py).  That is right for a handler that looks at edges,
alignment and slots alone, and wrong for one that has a length of its own: pages that it fills
around a fault, or 2 * MiB where PAGE_SIZE << PMD_ORDER was meant.  So the beginning of the
workload is counted both ways, and if they differ, all of it page by page.
"""

from dataclasses import replace

from pfnlab.cost.estimate import (
    Cost,
    DoesNotRepeat,
    StepCost,
    cost,
    does_not_repeat,
    moves,
    step_by_step,
)
from pfnlab.cost.shape import FOLDED_ADDRESS, FOLDED_BAR
from pfnlab.cost.simulate import Setting, simulate
from pfnlab.kernel.geometry import CHECKING, PAGE_SIZE, REAL, Geometry, MiB
from pfnlab.workload import Action, Bar, Step, Touch, Window, Workload

COMPARED = 8 * MiB  # of each window


def counted(workload: Workload, setting: Setting) -> Cost:
    """As cost(), in parts only if that is right on the beginning of the workload."""
    if moves(workload):
        return cost(workload, setting)
    if beginning(workload) == workload:
        return step_by_step(workload, setting)
    try:
        must_repeat(workload, setting)
        return cost(workload, setting)
    except DoesNotRepeat:
        what = f"{setting.design.name}, which looks at more than edges, alignment and slots,"
        return step_by_step(workload, setting, what)


def must_repeat(workload: Workload, setting: Setting) -> None:
    """Raise DoesNotRepeat if the beginning of a workload shows that parts do not tell the whole."""
    begun = beginning(workload)
    one_by_one, in_parts = step_by_step(begun, setting), cost(begun, setting)
    if not same(one_by_one, in_parts):
        one, other = one_by_one.total, in_parts.total
        names = sorted(one.events.keys() | other.events.keys())
        different = (name for name in names if one.event(name) != other.event(name))
        raise does_not_repeat(setting, next(different, "leaves"))


def leaves_in(geometry: Geometry, setting: Setting) -> list[dict[str, int]]:
    """What a first touch maps where a PMD, and where a PUD, has room in window and BAR."""
    found = []
    for shift in geometry.shifts[1:]:
        size = PAGE_SIZE << shift
        window = Window(size, address=FOLDED_ADDRESS)
        touch = Step("touch", (Touch(end=PAGE_SIZE),))
        counted = simulate(Workload(Bar(size, FOLDED_BAR), (window,), (touch,)), setting, geometry)
        state = counted[-1].moments[-1].state
        found.append({name: count for name, count in state.items() if name.startswith("leaves")})
    return found


def writes_sizes_as_numbers(setting: Setting) -> bool:
    """Whether a design makes larger leaves of real tables, and not of the small ones of a check."""
    if setting.design.vm_ops.huge_fault is None:
        return False
    small, real = (leaves_in(geometry, setting) for geometry in (CHECKING, REAL))
    return any("leaves pte" in one and "leaves pte" not in other
               for one, other in zip(small, real, strict=True))  # fmt: skip


def beginning(workload: Workload) -> Workload:
    """The same on the first pages of each window; what is touched shrinks with them."""
    windows = tuple(replace(each, size=min(each.size, COMPARED)) for each in workload.windows)

    def shorter(action: Action) -> Action:
        if not isinstance(action, Touch):
            return action
        whole, now = workload.windows[action.window].size, windows[action.window].size
        start = action.start * now // whole // PAGE_SIZE * PAGE_SIZE
        if action.end is None:
            return replace(action, start=start)
        end = action.end * now // whole // PAGE_SIZE * PAGE_SIZE
        return replace(action, start=start, end=max(end, start + PAGE_SIZE))

    steps = tuple(
        replace(step, actions=tuple(map(shorter, step.actions))) for step in workload.steps
    )
    return replace(workload, windows=windows, steps=steps)


def same(one: Cost, other: Cost) -> bool:
    return list(map(_counts, one.steps)) == list(map(_counts, other.steps))


def _counts(step: StepCost) -> list[dict[str, int]]:
    """Without those that are 0."""
    return [
        {name: count for name, count in counts.items() if count}
        for counts in (step.events, *step.moments)
    ]
