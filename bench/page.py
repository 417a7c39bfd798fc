"""Tables, and where in docs/performance.md they go."""

import os
import platform
import re
import statistics
import subprocess
from datetime import UTC, datetime
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
SECTION = re.compile(r"(<!-- measured -->\n).*(<!-- end of what was measured -->)", re.DOTALL)


def with_spread(values: list[float], digits: int = 0) -> str:
    """The median, and half the range in percent of it."""
    middle = statistics.median(values)
    half = (max(values) - min(values)) / 2
    return f"{middle:,.{digits}f} ± {100 * half / middle:.0f}%"


def ratio(values: list[float], others: list[float]) -> str:
    return f"{statistics.median(values) / statistics.median(others):,.1f}"


def table(lines: list[list[str]]) -> str:
    """A Markdown table; the first line is its heading, the first column its names."""
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def row(cells: list[str]) -> str:
        right = [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join([cells[0].ljust(widths[0]), *right]) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def machine() -> str:
    return f"{platform.platform()}, {os.cpu_count()} CPUs, Python {platform.python_version()}"


def load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def now() -> str:
    return f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def write(text: str) -> None:
    """Put what was measured into the page; all else in it stays."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(SECTION.sub(lambda found: found[1] + text + found[2], page), encoding="utf-8")
