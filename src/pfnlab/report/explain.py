"""Why a mapping is not huge, as text and as data."""

import textwrap
from typing import Any

from pfnlab.cost.estimate import StepCost
from pfnlab.cost.explain import Explanation, Range
from pfnlab.kernel.geometry import PAGE_SIZE, REAL
from pfnlab.report.layout import line_width, number, size_text

LEVELS = ("4 KiB", "2 MiB", "1 GiB")
WRONG = "wrong pfn: it maps another part of the device (leaf_maps_its_own_pfn)"


def explanation_text(explanation: Explanation) -> str:
    """A row for each range, and what the best address would give."""
    window, setting = explanation.window, explanation.setting
    design = setting.design
    lived = f" ({design.kernels})" if design.kernels else ""
    title = (
        f"{size_text(window.size)} at {window.address:#x}, BAR offset {window.offset:#x}; "
        f"{design.name}{lived} on {setting.kernel.name}, THP {setting.thp}"
    )
    parts = [textwrap.fill(title, line_width(), subsequent_indent="  ")]
    for part in explanation.ranges:
        offset = part.start - window.address + window.offset
        where = f"{part.start:x}..{part.end - 1:x}  BAR offset {offset:<10x}  {leaves_text(part)}"
        why = why_text(part, explanation)
        parts.append(f"  {where}" + (f"\n      {why}" if why else ""))
        if part.wrong:
            parts.append(f"      {WRONG}")
    advice = [f"In all {total_text(explanation.cost.steps[-1])}."]
    if explanation.allowed is not None:
        allowed = total_text(explanation.allowed.steps[-1])
        advice.append(f"{policy_remedy(explanation)} it would have {allowed}.")
    if explanation.elsewhere_is_better:
        best = total_text(explanation.best_cost.steps[-1])
        advice += [
            f"Best address: {explanation.best:#x}, or any that agrees with it modulo 1 GiB.",
            f"There it would have {best}.",
        ]
    else:
        advice.append("No other address gives more.")
    return "\n".join([*parts, *(f"  {line}" for line in advice)])


def policy_remedy(explanation: Explanation) -> str:
    """MADV_HUGEPAGE counts where the policy is madvise, and nowhere where it is never."""
    if explanation.setting.thp == "never":
        return "With THP always, or THP madvise and MADV_HUGEPAGE,"
    return "With THP always, or with MADV_HUGEPAGE,"


def leaves_text(part: Range) -> str:
    if part.level < 0:
        return "none"
    return f"{number(part.leaves)} x {LEVELS[part.level]}"


def why_text(part: Range, explanation: Explanation) -> str:
    if part.why == "nothing":
        return "nothing maps it: the design has no fault handler, or memory is off"
    if not part.why:
        return ""
    window, setting = explanation.window, explanation.setting
    larger = LEVELS[part.level + 1]
    if part.why == "starts":
        return f"VMA edge: it begins at {part.edge:x}, inside the {larger}{hole(explanation, 0)}"
    if part.why == "ends":
        return f"VMA edge: it ends at {part.edge:x}, inside the {larger}{hole(explanation, 1)}"
    if part.why == "alignment":
        return f"alignment: address and pfn disagree modulo {larger} by {apart(part, explanation)}"
    return {
        "design": f"design: {setting.design.name} has no huge_fault",
        "nohugepage": "policy: MADV_NOHUGEPAGE",
        "policy": f"THP policy: {setting.thp} on {setting.kernel.name}"
        + ("" if setting.thp == "never" or window.advice else ", without MADV_HUGEPAGE"),
        "table": f"slot: that of the {larger} holds a table already",
        "refused": f"design: {setting.design.name} refuses {larger}",
    }[part.why]


def hole(explanation: Explanation, end: int) -> str:
    """Where the BAR goes on behind an edge, what is there is not mapped: say so."""
    known = explanation.hole
    if known is None:
        return ""
    window = explanation.window
    edge = window.offset + window.size if end else window.offset
    if edge not in known:
        return ""
    return f" (the hole at BAR offset {known[0]:x}..{known[1] - 1:x})"


def apart(part: Range, explanation: Explanation) -> str:
    """How far the address is from agreeing with the physical address."""
    sizes = (REAL.shifts[1], REAL.shifts[2])
    size = PAGE_SIZE << sizes[part.level]
    bar = explanation.cost.workload.bar.address or 0
    return f"{(explanation.window.address - bar - explanation.window.offset) % size:#x}"


def total_text(step: StepCost) -> str:
    """1,024 x 2 MiB, 2 x 1 GiB and 12 KiB of tables."""
    counts = [step.state.get(f"leaves {level}", 0) for level in ("pte", "pmd", "pud")]
    texts = [
        f"{number(count)} x {name}" for count, name in zip(counts, LEVELS, strict=True) if count
    ]
    return f"{', '.join(texts[::-1]) or 'no leaf'}; {size_text(step.table_bytes)} of tables"


def explanation_data(version: str, explanation: Explanation) -> dict[str, Any]:
    window = explanation.window
    return {
        "pfnlab": version,
        "design": explanation.setting.design.name,
        "kernel": explanation.setting.kernel.name,
        "thp": explanation.setting.thp,
        "address": window.address,
        "offset": window.offset,
        "size": window.size,
        "ranges": [
            {
                "start": part.start,
                "end": part.end,
                "level": LEVELS[part.level] if part.level >= 0 else None,
                "leaves": part.leaves,
                "why": part.why or None,
                "text": why_text(part, explanation) or None,
                "wrong": part.wrong,
            }
            for part in explanation.ranges
        ],
        "best_address": explanation.best,
    }
