"""What a workload costs, as a table and as data: one row for each design."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from pfnlab.cost.calibration import Calibration, time_of
from pfnlab.cost.estimate import Cost, StepCost
from pfnlab.kernel.geometry import PAGE_SIZE
from pfnlab.report.layout import (
    filled,
    line_width,
    number,
    numbers_table,
    seconds_text,
    size_text,
)
from pfnlab.workload import Workload

Column = tuple[str, Callable[[Cost], int | str]]


def leaves(level: str) -> Callable[[Cost], int]:
    return lambda cost: cost.most_leaves.get(f"leaves {level}", 0)


def total(*names: str) -> Callable[[Cost], int]:
    return lambda cost: cost.total.event(*names)


MAIN: tuple[Column, ...] = (
    ("kernel", lambda cost: cost.setting.kernel.name),
    ("faults", lambda cost: cost.total.faults),
    ("calls", lambda cost: cost.total.calls),
    ("fallback", lambda cost: cost.total.fallbacks),
    ("1G", leaves("pud")),
    ("2M", leaves("pmd")),
    ("4K", leaves("pte")),
    ("tables", lambda cost: size_text(cost.most_table_bytes)),
    ("left", lambda cost: size_text(cost.steps[-1].table_bytes)),
)
# Shown if some design has any.
MORE: tuple[Column, ...] = (
    ("signals", total("signals")),
    ("locks", total("locks")),
    ("TLB flushes", total("tlb flushes")),
    ("memtype ops", total("memtype_reserve", "memtype_free", "memtype_lookups")),
    ("lookups", total("lookups")),
    ("IOMMU maps", total("iommu_map")),
    ("IOMMU pages", total("iommu_map pages")),
    ("copied leaves", total("copied pte", "copied pmd", "copied pud")),
    ("child tables", lambda cost: size_text(child_tables(cost.steps[-1]))),
)
# Of those whose names do not say it all.
MEANING = {
    "signals": "SIGBUS; each is a fault, too",
    "locks": "how often one was taken",
    "memtype ops": "PAT reserves, frees or looks up a cache type",
    "lookups": "of a page or a leaf, by type1",
    "IOMMU maps": "calls of iommu_map()",
    "IOMMU pages": "4 KiB each, mapped by these",
    "copied leaves": "by fork()",
    "child tables": "memory of the child's page tables at the end",
}
HOW_TO_READ = """\
faults: of user space, and those that type1 takes.  calls: of the fault handlers; fallback: those
that asked for a smaller leaf.  1G, 2M, 4K: leaves, when there are most.  tables: memory of page
tables, when there is most; left: at the end."""


def child_tables(step: StepCost) -> int:
    levels = ("pte", "pmd", "pud")
    return sum(step.state.get(f"child tables {level}", 0) for level in levels) * PAGE_SIZE


def costs_text(costs: Sequence[Cost], calibration: Calibration | None = None) -> str:
    """A table of all designs; every time is beside the name of its calibration."""
    columns = list(MAIN)
    if calibration is not None:
        columns.append(("time", lambda cost: time_text(cost, calibration)))
    rows = {cost.setting.design.name: cost for cost in costs}
    extra = [
        (name, value) for name, value in MORE if any(value(cost) not in (0, "0") for cost in costs)
    ]
    parts = [workloads_text(costs), table(rows, columns), filled(how_to_read(extra))]
    if extra:
        parts.insert(2, table(rows, extra))
    failed = [line for cost in costs for line in failures(cost)]
    if failed:
        parts.append("\n".join(failed))
    if calibration is not None:
        parts.append(calibration_text(costs, calibration))
    return "\n\n".join(parts)


def how_to_read(extra: Sequence[Column]) -> str:
    """What the columns are, those that are not always there last."""
    more = [f"{name}: {MEANING[name]}." for name, _value in extra if name in MEANING]
    return "  ".join([HOW_TO_READ, *more])


def failures(cost: Cost) -> list[str]:
    """What a design, or the kernel, has refused: events that are named by an error."""
    return [
        f"{cost.setting.design.name}: {count} x {name} in {step.name}"
        for step in cost.steps
        for name, count in step.events.items()
        if " -E" in name
    ]


def table(rows: dict[str, Cost], columns: Sequence[Column]) -> str:
    texts = {
        name: [number(value(cost)) for _title, value in columns] for name, cost in rows.items()
    }
    return numbers_table("design", [title for title, _value in columns], texts)


def workloads_text(costs: Sequence[Cost]) -> str:
    """What was asked; of each design, if they have it at addresses of their own."""
    designs: dict[str, list[str]] = {}
    for cost in costs:
        designs.setdefault(workload_text(cost), []).append(cost.setting.design.name)
    if len(designs) == 1:
        return next(iter(designs))
    lines = [f"{', '.join(names)}: {text}" for text, names in designs.items()]
    return "\n".join(textwrap.fill(line, line_width(), subsequent_indent="  ") for line in lines)


def workload_text(cost: Cost) -> str:
    workload = cost.workload
    steps = ", ".join(step.name for step in workload.steps)
    return f"{windows_text(workload)}, THP {cost.setting.thp}: {steps or 'mmap'}"


def windows_text(workload: Workload) -> str:
    texts = [
        f"{size_text(window.size)} at {window.address:#x}, BAR offset {window.offset:#x}"
        for window in workload.windows
    ]
    return "; ".join(texts)


def time_text(cost: Cost, calibration: Calibration) -> str:
    time = time_of(cost.total, calibration)
    if time.seconds is None:
        return "unknown"
    return f"{'>= ' if time.unknown else ''}{seconds_text(time.seconds)}"


def calibration_text(costs: Sequence[Cost], calibration: Calibration) -> str:
    unknown = sorted({key for cost in costs for key in time_of(cost.total, calibration).unknown})
    text = (
        f"time: by calibration {calibration.title}: {calibration.machine}; "
        f"{calibration.kernel}; {calibration.date}."
    )
    if unknown:
        text += f" It has no number for {', '.join(unknown)}: such times are left out."
    return textwrap.fill(text, line_width())


def costs_data(
    version: str, costs: Sequence[Cost], calibration: Calibration | None = None
) -> dict[str, Any]:
    """What `--json` prints."""
    workload = costs[0].workload
    data: dict[str, Any] = {
        "pfnlab": version,
        "bar": {"size": workload.bar.size, "address": workload.bar.address},
        "windows": windows_data(workload),
        "designs": [cost_data(cost, calibration) for cost in costs],
    }
    if calibration is not None:
        data["calibration"] = {"name": calibration.name, "virtual": calibration.virtual}
    return data


def windows_data(workload: Workload) -> list[dict[str, int]]:
    return [{"size": w.size, "offset": w.offset, "address": w.address} for w in workload.windows]


def cost_data(cost: Cost, calibration: Calibration | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "design": cost.setting.design.name,
        "kernel": cost.setting.kernel.name,
        "thp": cost.setting.thp,
        "windows": windows_data(cost.workload),
        "steps": [
            {"name": step.name, "events": dict(step.events), "state": dict(step.state)}
            for step in cost.steps
        ],
    }
    if calibration is not None:
        time = time_of(cost.total, calibration)
        data["time"] = {"seconds": time.seconds, "left_out": list(time.unknown)}
    return data
