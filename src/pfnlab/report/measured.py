"""What a real kernel did with a workload, as one table; and what measuring would change."""

import textwrap
from collections.abc import Callable, Sequence
from typing import Any

from pfnlab.host.pci import PciDevice
from pfnlab.measured import Measured, MeasuredStep, measured_to_data
from pfnlab.report.layout import filled, line_width, numbers_table, seconds_text, size_text
from pfnlab.workload import Window, Workload

# What counts are missing together, by the name of the reason in Measured.missing.
CALLS, LEAVES, VMPTE, MEMTYPES = "calls", "leaves", "VmPTE", "memtypes"
Value = Callable[[MeasuredStep], str]
Column = tuple[str, str, Value]


def event(*names: str) -> Value:
    return lambda step: f"{sum(step.events.get(name, 0) for name in names):,}"


def state(*names: str) -> Value:
    return lambda step: f"{sum(step.state.get(name, 0) for name in names):,}"


def table_size(who: str) -> Value:
    pages = (f"{who}tables pte", f"{who}tables pmd")
    return lambda step: size_text(sum(step.state.get(name, 0) for name in pages) * 4096)


def columns_of(who: str) -> tuple[Column, ...]:
    """Of what there is in a process: "" or "child "."""
    return (
        (f"{who}1G", LEAVES, state(f"{who}leaves pud")),
        (f"{who}2M", LEAVES, state(f"{who}leaves pmd")),
        (f"{who}4K", LEAVES, state(f"{who}leaves pte")),
        (f"{who}tables", LEAVES, table_size(who)),
        (f"{who}VmPTE", VMPTE, lambda step: size_text(step.state.get(f"{who}VmPTE", 0))),
    )


EVENTS: tuple[Column, ...] = (
    ("faults", "faults", event("faults")),
    ("signals", "signals", event("signals")),
    ("calls 1G", CALLS, event("calls pud")),
    ("calls 2M", CALLS, event("calls pmd")),
    ("calls 4K", CALLS, event("calls pte")),
    ("fallback", CALLS, event("fallbacks pud", "fallbacks pmd", "fallbacks pte")),
)
KNOWN = {"faults", "signals", *(f"{w} {n}" for w in ("calls", "fallbacks")
         for n in ("pud", "pmd", "pte"))}  # fmt: skip
HOW_TO_READ = """\
faults: by getrusage().  calls: of the fault handler, by the leaf it was asked for; fallback: those
that asked for a smaller one.  1G, 2M, 4K: leaves that there are then; tables: of these mappings."""


def measured_text(measured: Measured) -> str:
    """A header, a row for each step, and what was not counted."""
    parts = [header_text(measured), table(measured, (*EVENTS, time_column()))]
    parts.append(table(measured, (*columns_of(""), memtype_column())))
    if any(name.startswith("child ") for step in measured.steps for name in step.state):
        parts.append(table(measured, columns_of("child ")))
    others = [
        f"{step.name}: {count:,} x {name}"
        for step in measured.steps
        for name, count in step.events.items()
        if name not in KNOWN
    ]
    if others:
        parts.append("\n".join(others))
    parts.append(filled(HOW_TO_READ))
    if measured.missing:
        parts.append(
            "\n".join(f"not counted: {name}: {why}" for name, why in measured.missing.items())
        )
    return "\n\n".join(parts)


def time_column() -> Column:
    return ("time", "seconds", lambda step: seconds_text(step.seconds))


def memtype_column() -> Column:
    return ("memtypes", MEMTYPES, state("memtypes"))


def header_text(measured: Measured) -> str:
    kind = "virtual" if measured.virtual else "not virtual"
    design = f", {measured.design}" if measured.design else ""
    lines = [
        f"{workload_text(measured.workload)}",
        f"kernel {measured.kernel}{design}; THP {measured.thp or 'none'}; {measured.device}",
        f"{measured.machine or 'unknown machine'}, {kind}; {measured.date}",
    ]
    return "\n".join(textwrap.fill(line, line_width(), subsequent_indent="  ") for line in lines)


def workload_text(workload: Workload) -> str:
    windows = "; ".join(window_text(window) for window in workload.windows)
    bar = workload.bar
    at = f" at {bar.address:#x}" if bar.address is not None else ""
    return f"BAR of {size_text(bar.size)}{at}: {windows}"


def window_text(window: Window) -> str:
    where = f"at {window.address:#x}" if window.address else f"placed {window.place}"
    advice = f", MADV_{window.advice.upper()}" if window.advice else ""
    return f"{size_text(window.size)} {where}, BAR offset {window.offset:#x}{advice}"


def table(measured: Measured, columns: Sequence[Column]) -> str:
    rows = {
        name: ["-" if needs in measured.missing else value(step) for _, needs, value in columns]
        for name, step in zip(measured.step_names, measured.steps, strict=True)
    }
    return numbers_table("step", [title for title, *_ in columns], rows)


def measured_json(version: str, measured: Measured) -> dict[str, Any]:
    """What `--json` prints."""
    return {"pfnlab": version, **measured_to_data(measured)}


def plan_text(
    device: PciDevice, others: Sequence[str], workload: Workload, bar: int, obstacle: str
) -> str:
    """What `--dry-run` prints."""
    lines = [
        f"{device.bdf} ({device.id}), BAR {bar}: {workload_text(workload)}",
        *((f"It cannot: {obstacle}", "Otherwise it would") if obstacle else ("Would",)),
    ]
    if device.driver == "vfio-pci":
        lines.append("- leave it with vfio-pci, which has it")
    else:
        if device.driver:
            lines.append(f"- take it from {device.driver}")
        lines.append("- set driver_override, and give it to vfio-pci")
    lines += [
        f"- open IOMMU group {device.group or '(none)'}"
        + (f", in which there are also {', '.join(others)}" if others else ""),
        "- set COMMAND.MEM, and restore COMMAND",
        *(f"- do: {step.name}" for step in workload.steps),
    ]
    if device.driver != "vfio-pci":
        then = f", and let {device.driver} have it again" if device.driver else ""
        lines.append(f"- take it from vfio-pci, restore driver_override{then}")
    lines.append("Nothing was changed.")
    return "\n".join(lines)
