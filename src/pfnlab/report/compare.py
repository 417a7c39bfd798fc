"""Model and kernel side by side, as text and as data."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict
from textwrap import indent
from typing import Any

from pfnlab.fidelity.compare import Comparison, Count
from pfnlab.report.layout import filled, many, table_text

COLUMNS = (
    ("faults", ("faults",)), ("SIGBUS", ("signals",)),
    ("calls 1G/2M/4K", ("calls pud", "calls pmd", "calls pte")),
    ("fallback", ("fallbacks pud", "fallbacks pmd", "fallbacks pte")),
    ("leaves 1G/2M/4K", ("leaves pud", "leaves pmd", "leaves pte")),
    ("tables 2M/4K", ("tables pmd", "tables pte")), ("memtypes", ("memtypes",)),
)  # fmt: skip
HOW_TO_READ = """\
Each number was counted on both sides; they are the kernel's, and where the model has another one
there is a * and a line below.  calls: of the fault handlers, for each order; fallback: those that
asked for a smaller leaf.  leaves, tables, memtypes: what there is after the step; tables that hold
2 MiB and 4 KiB entries.  A dash: not counted on this kernel."""


def comparison_text(comparison: Comparison) -> str:
    """One workload: a row for each step."""
    rows: dict[str, list[str]] = {}
    for place, name in enumerate(comparison.measured.step_names):
        counts = {count.name: count for count in comparison.counts if count.step == place}
        rows[name] = [cell(comparison, counts, names) for _title, names in COLUMNS]
    width = [max(len(cell) for cell in column) for column in zip(*rows.values(), strict=True)]
    right = {
        name: [text.rjust(size) for text, size in zip(cells, width, strict=True)]
        for name, cells in rows.items()
    }
    table = table_text("step", [title for title, _names in COLUMNS], right)
    return "\n".join([comparison.name, indent(table, "  "), *difference_lines(comparison)])


def cell(comparison: Comparison, counts: dict[str, Count], names: Sequence[str]) -> str:
    return "/".join(number(comparison, counts.get(name), name) for name in names)


def number(comparison: Comparison, count: Count | None, name: str) -> str:
    if count is None:
        return "-" if comparison.lacks(name) else "0"
    return f"{count.kernel:,}" if count.equal else f"{count.kernel:,}*"


def difference_lines(comparison: Comparison) -> list[str]:
    return [
        f"  * {comparison.step_name(count)}, {count.name}: kernel {count.kernel:,}, "
        f"model {count.model:,}"
        for count in comparison.differences
    ]


def comparisons_text(comparisons: Sequence[Comparison]) -> str:
    """All workloads of one kernel."""
    parts = [heading(comparisons[0]), *map(comparison_text, comparisons), filled(HOW_TO_READ)]
    return "\n\n".join([*parts, "\n".join([*missing_lines(comparisons), summary(comparisons)])])


def heading(comparison: Comparison) -> str:
    measured, setting = comparison.measured, comparison.setting
    how = "in a virtual machine" if measured.virtual else "on hardware"
    return (
        f"Linux {measured.kernel} ({how}: {measured.machine}; {measured.date})\n"
        f"model: {setting.design.name}, {setting.kernel.name}"
    )


def missing_lines(comparisons: Iterable[Comparison]) -> list[str]:
    missing: dict[str, str] = {}
    for comparison in comparisons:
        missing.update(comparison.measured.missing)
    return [f"Not counted: {name} ({why})." for name, why in sorted(missing.items())]


def summary(comparisons: Sequence[Comparison]) -> str:
    counts = sum(len(comparison.counts) for comparison in comparisons)
    different = sum(len(comparison.differences) for comparison in comparisons)
    told = "all equal" if not different else f"{different} of them different"
    return f"{many(len(comparisons), 'workload')}, {many(counts, 'count')}: {told}."


def kernels_text(by_kernel: Sequence[Sequence[Comparison]]) -> str:
    """One row for each workload, one column for each kernel: how many counts are equal."""
    names = list(dict.fromkeys(c.name for comparisons in by_kernel for c in comparisons))
    first = [comparisons[0] for comparisons in by_kernel]
    columns = [one.measured.version or one.measured.kernel for one in first]
    rows: dict[str, list[str]] = {
        "(design)": [one.setting.design.name for one in first],
        "(profile)": [one.setting.kernel.name for one in first],
    }
    rows |= {name: [agreement_on(name, ones) for ones in by_kernel] for name in names}
    return table_text("workload", columns, rows)


def agreement_on(name: str, comparisons: Sequence[Comparison]) -> str:
    return next((agreement(one) for one in comparisons if one.name == name), "-")


def agreement(comparison: Comparison) -> str:
    counts, different = len(comparison.counts), len(comparison.differences)
    return f"{counts} equal" if not different else f"{counts - different} of {counts} equal"


def comparisons_data(version: str, comparisons: Sequence[Comparison]) -> dict[str, Any]:
    """What `--json` prints."""
    return {
        "pfnlab": version,
        "kernel": comparisons[0].measured.kernel,
        "virtual": comparisons[0].measured.virtual,
        "date": comparisons[0].measured.date,
        "design": comparisons[0].setting.design.name,
        "profile": comparisons[0].setting.kernel.name,
        "workloads": [
            {
                "name": comparison.name,
                "missing": dict(comparison.measured.missing),
                "counts": [
                    {**asdict(count), "step": comparison.step_name(count), "equal": count.equal}
                    for count in comparison.counts
                ],
            }
            for comparison in comparisons
        ],
    }
