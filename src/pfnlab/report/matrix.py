"""The matrix: designs down, scenarios across."""

import textwrap

from pfnlab.explorer.result import Result

WIDTH = 100
Cells = dict[tuple[str, str], Result | None]


def matrix_text(
    designs: list[str], scenarios: list[str], cells: Cells, numbers: dict[str, str] | None = None
) -> str:
    """One row per design; groups of scenarios so that no line is longer than 100 columns.

    A result that is None was not run: it was interrupted.  `numbers` has the numbers of
    rules by name: a cell shows the number, and a list below says what it stands for.
    """
    known = numbers or {}
    texts = {key: cell_text(result, known) for key, result in cells.items()}
    first = max(len(name) for name in ["design", *designs])
    widths = {
        scenario: max(len(scenario), *(len(texts[design, scenario]) for design in designs))
        for scenario in scenarios
    }
    groups: list[list[str]] = [[]]
    for scenario in scenarios:
        used = first + sum(2 + widths[name] for name in groups[-1])
        if groups[-1] and used + 2 + widths[scenario] > WIDTH:
            groups.append([])
        groups[-1].append(scenario)
    blocks = []
    for group in groups:
        lines = ["design".ljust(first) + "".join(f"  {name.ljust(widths[name])}" for name in group)]
        for design in designs:
            row = "".join(f"  {texts[design, name].ljust(widths[name])}" for name in group)
            lines.append(design.ljust(first) + row)
        blocks.append("\n".join(line.rstrip() for line in lines))
    return "\n\n".join([*blocks, *_legend(cells, known)])


def _legend(cells: Cells, numbers: dict[str, str]) -> list[str]:
    """What the numbers stand for, as one block, if there are any."""
    broken = {
        result.violation.rule: result.violation.sentence
        for result in cells.values()
        if result is not None and result.violation is not None
    }
    lines = [
        textwrap.fill(
            f"{numbers[rule]:4} {rule}: {sentence}", WIDTH, subsequent_indent="     ",
            break_on_hyphens=False,
        )
        for rule, sentence in sorted(broken.items(), key=lambda item: numbers.get(item[0], ""))
        if numbers.get(rule)
    ]  # fmt: skip
    return ["\n".join(lines)] if lines else []


def cell_text(result: Result | None, numbers: dict[str, str] | None = None) -> str:
    """ "ok", "FAIL R3" or "?"; a rule without a number has its name there."""
    if result is None:
        return "not run"
    if result.violation is not None:
        rule = result.violation.rule
        return f"FAIL {(numbers or {}).get(rule) or rule}"
    return "ok" if result.complete else "?"


def summary_text(cells: Cells) -> str:
    """One line under the matrix."""
    results = [result for result in cells.values() if result is not None]
    ok = sum(result.verdict == "ok" for result in results)
    failed = sum(result.verdict == "FAIL" for result in results)
    open_ = len(cells) - ok - failed
    schedules = sum(result.schedules for result in results)
    text = (
        f"{len(cells)} {'check' if len(cells) == 1 else 'checks'}, {schedules} schedules: "
        f"{ok} ok (every interleaving), {failed} failed"
    )
    return text + (f", {open_} incomplete (?)" if open_ else "")
