"""The matrix: designs down, groups of scenarios across, and what its cells do not say."""

from collections.abc import Mapping, Sequence

from pfnlab.explorer.result import Result
from pfnlab.report.broken import (
    NOT_RUN,
    OK,
    UNDECIDED,
    Results,
    Rules,
    in_order,
    legend_text,
    only_outcome,
    outcome,
    scenarios_by_outcome,
    scenarios_text,
    summary_text,
)
from pfnlab.report.layout import filled, many, table_text

Groups = Mapping[str, Sequence[str]]  # scenarios by subject
Cells = Mapping[tuple[str, str], Result | None]  # by design and scenario

HOW_TO_READ = """\
A cell is ok if no rule breaks, in any interleaving of any scenario of the group.  Else it has the
number of scenarios that fail, and the rules that they break; ? is a search that did not finish."""


def matrix_text(designs: Sequence[str], groups: Groups, cells: Cells, rules: Rules) -> str:
    """One row per design, one column per group; then all that is not ok, by rule."""
    rows = {"(scenarios)": [str(len(names)) for names in groups.values()]}
    others: list[str] = []
    for design in designs:
        own = [{name: cells[design, name] for name in names} for names in groups.values()]
        rows[design] = [group_text(results, rules) for results in own]
        every = {name: result for results in own for name, result in results.items()}
        lines = scenarios_text(every, rules, "  ")
        others += [design, *lines] if lines else []
    parts = [table_text("design", list(groups), rows), filled(HOW_TO_READ), "\n".join(others)]
    return "\n\n".join(part for part in (*parts, *_end(cells, rules)) if part)


def column_text(designs: Sequence[str], scenario: str, cells: Cells, rules: Rules) -> str:
    """One scenario on every design."""
    rows = {design: [cell_text(cells[design, scenario], rules)] for design in designs}
    return "\n\n".join([table_text("design", [scenario], rows), *_end(cells, rules)])


def design_text(design: str, groups: Groups, results: Results, rules: Rules) -> str:
    """One design: a line for each group of scenarios, and those in it that are not ok."""
    width = max(map(len, groups))
    lines = [design]
    for group, names in groups.items():
        own = {name: results[name] for name in names}
        lines.append(f"  {group.ljust(width)}  {_group_line(own, rules)}")
        if not only_outcome(own, rules):
            lines += scenarios_text(own, rules, " " * (width + 4))
    cells = {(design, name): result for name, result in results.items()}
    return "\n\n".join(["\n".join(lines), *_end(cells, rules)])


def cell_text(result: Result | None, rules: Rules) -> str:
    """ "ok", "FAIL R3", "?", "error" or "not run"."""
    text = outcome(result, rules)
    return text if text in (OK, *UNDECIDED) else f"FAIL {text}"


def group_text(results: Results, rules: Rules) -> str:
    """ "ok", or as "3 D1 R7": how many scenarios fail, and which rules they break."""
    others = scenarios_by_outcome(results, rules)
    parts = [f"{len(others.pop(text))} {text}" for text in UNDECIDED if text in others]
    if others:
        parts.insert(0, f"{sum(map(len, others.values()))} {' '.join(in_order(others))}")
    return ", ".join(parts) or OK


def _group_line(results: Results, rules: Rules) -> str:
    ran = [result for result in results.values() if result is not None]
    counts = {
        "FAIL": sum(result.verdict == "FAIL" for result in ran),
        "INCOMPLETE": sum(result.verdict == "incomplete" for result in ran),
        "ERROR": sum(result.verdict == "error" for result in ran),
        NOT_RUN: len(results) - len(ran),
    }
    details = []
    if any(counts.values()):
        bad = ", ".join(f"{what} {count}" for what, count in counts.items() if count)
        alike = only_outcome(results, rules)
        each = f": {alike}" if alike not in ("", *UNDECIDED) else ""
        verdict = f"{bad} of {len(results)}{each}"
    else:
        verdict = "ok, every interleaving"
        details.append(many(len(results), "scenario"))
    if ran:
        details.append(many(sum(result.schedules for result in ran), "schedule"))
        details.append(f"at most {many(max(result.steps for result in ran), 'step')}")
    return f"{verdict} ({', '.join(details)})" if details else verdict


def _end(cells: Cells, rules: Rules) -> list[str]:
    """What the labels mean, and how many checks there were."""
    legend = "\n".join(legend_text(cells.values(), rules))
    return [part for part in (legend, summary_text(cells.values())) if part]
