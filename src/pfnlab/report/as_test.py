"""A counterexample as a test to paste."""

import re

from pfnlab.explorer.result import Finding


def test_text(
    design: str,
    scenario: str,
    names: tuple[str, str],
    schedule: str,
    finding: Finding | None,
    kernel: str | None = None,
    rules: tuple[str, ...] | None = None,
) -> str:
    """A pytest function that follows a schedule and expects what it has led to.

    `design` and `scenario` are as the user named them, `names` their own names; "" is no design.
    """
    rule = finding.violation.rule if finding is not None else ""
    what = f"breaks_{rule}" if rule else "breaks_nothing"
    arguments = [
        f'find_scenario("{_quoted(scenario)}")',
        f'find_design("{_quoted(design)}")' if design else "None",
        f'"{_quoted(schedule)}"',
    ]
    if kernel is not None:
        arguments.append(f'kernel="{_quoted(kernel)}"')
    if rules is not None:
        arguments.append(f"rules={list(rules)!r}".replace("'", '"'))
    lines = [
        "from pfnlab import replay",
        f"from pfnlab.catalogue import {'find_design, ' if design else ''}find_scenario",
        "",
        "",
        f"def test_{_name('_in_'.join(filter(None, names)))}_{_name(what)}() -> None:",
        "    finding = replay(",
        *(f"        {argument}," for argument in arguments),
        "    )",
    ]
    if finding is None:
        lines.append("    assert finding is None")
    else:
        lines += [
            "    assert finding is not None",
            f'    assert finding.violation.rule == "{_quoted(rule)}"',
        ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')


def _name(text: str) -> str:
    return re.sub(r"\W+", "_", text)
