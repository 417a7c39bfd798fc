"""Random workloads, small enough to be simulated touch by touch."""

from dataclasses import replace
from random import Random

from pfnlab.cost.estimate import Cost, StepCost, estimate, make_plan
from pfnlab.cost.shape import Shape
from pfnlab.cost.simulate import Setting, simulate
from pfnlab.kernel.geometry import PAGE_SIZE, Geometry
from pfnlab.workload import (
    Action,
    Bar,
    Direction,
    Fork,
    Level,
    MapDma,
    Memory,
    Munmap,
    Step,
    Touch,
    UnmapDma,
    Window,
    Workload,
)

BASE = 0x7E0000000000
BAR = 0x390000000000
EVERY: tuple[Level, ...] = ("pte", "pte", "pte", "pmd", "pud")
DIRECTIONS: tuple[Direction, ...] = ("forward", "backward", "random")


def random_workload(random: Random, geometry: Geometry, most: int) -> Workload:
    """One or two windows of up to `most` pages, at any address, with any steps."""
    pmd, pud = (1 << shift for shift in geometry.shifts[1:])
    windows: list[Window] = []
    page = random.randrange(2 * pud) // (step := random.choice([1, pmd, pud])) * step
    offset = 0
    for _ in range(random.choice([1, 1, 1, 2])):
        size = max(1, random.randrange(1, most) // (step := random.choice([1, 1, pmd])) * step)
        apart = random.choice([0, 0, pmd, 1, random.randrange(pud)])
        offset += (page + apart - offset) % pud
        windows.append(Window(size * PAGE_SIZE, offset * PAGE_SIZE, BASE + page * PAGE_SIZE))
        page += size + random.choice([0, 1, random.randrange(pmd), random.randrange(2 * pud)])
        offset += size
    return Workload(Bar(offset * PAGE_SIZE, BAR), tuple(windows), random_steps(random, windows))


def random_steps(random: Random, windows: list[Window]) -> tuple[Step, ...]:
    forked = mapped = False
    gone: set[int] = set()
    steps: list[Step] = []
    for number in range(random.randrange(1, 6)):
        index = random.randrange(len(windows))
        if index in gone:
            continue
        kind = random.choice(["touch"] * 4 + ["off", "cycle", "dma", "undma", "fork", "munmap"])
        actions: tuple[Action, ...] = (random_touch(random, windows, index, forked),)
        times = 1
        if kind == "off":
            actions = (Memory(False),)
        elif kind == "cycle":
            times = random.choice([1, 2, 6])
            actions = (Memory(False), Memory(True), *actions)
        elif kind == "dma" and not mapped:
            actions, mapped = (MapDma(index),), True
            dma = index
        elif kind == "undma" and mapped:
            actions = (UnmapDma(dma),)
        elif kind == "fork" and not forked:
            actions, forked = (Fork(),), True
        elif kind == "munmap":
            actions = (Munmap(index),)
            gone.add(index)
        steps.append(Step(f"{kind} {number}", actions, times))
    return tuple(steps)


def random_touch(random: Random, windows: list[Window], index: int, forked: bool) -> Touch:
    pages = windows[index].size // PAGE_SIZE
    start = random.choice([0, 0, random.randrange(pages)])
    end = random.choice([pages, pages, start + 1, random.randrange(start, pages) + 1])
    return Touch(
        index, start * PAGE_SIZE, end * PAGE_SIZE, random.choice(EVERY),
        random.choice(DIRECTIONS), forked and random.random() < 0.5,
    )  # fmt: skip


def counted_in_parts(workload: Workload, setting: Setting, geometry: Geometry) -> Cost:
    return estimate(make_plan(Shape(workload, geometry)), setting)


def counted_in_full(workload: Workload, setting: Setting, geometry: Geometry) -> list[StepCost]:
    return [
        StepCost(step.name, step.events, tuple(moment.state for moment in step.moments))
        for step in simulate(workload, setting, geometry)
    ]


def without_pud_tables(step: StepCost) -> StepCost:
    """A simulation has no tables above the PUD."""
    moments = tuple(
        {name: n for name, n in moment.items() if not name.endswith("tables pud")}
        for moment in step.moments
    )
    return replace(step, moments=moments)
