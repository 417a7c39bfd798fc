"""How fast the searches are: schedules and steps a second, with their spread.

    make bench                              print the table
    .venv/bin/python bench/run.py --write   and keep it, in docs/performance.md

A program is explored by each policy for a fixed number of schedules, or to its end where
that comes first.  One run to warm up, then five; policies take turns, so that a machine
that slows down slows all of them.  A ratio is taken within one round, against the
exhaustive search: it is the peer that is always there.  Compare ratios between machines,
and seconds only within one table.
"""

import argparse
import importlib.metadata
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

from pfnlab.catalogue import find_design, find_scenario
from pfnlab.engine import Program, Shared, mutex
from pfnlab.engine.execution import Execution
from pfnlab.explorer.policy import Policy
from pfnlab.explorer.search import Limits, Search
from pfnlab.verdict import make_policy, program_maker

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "performance.md"
REPEATS = 5
SEED = 1
SCHEDULES = 1_500  # of one run
PEER = "exhaustive"
POLICIES = ("dpor", PEER, "random")
OTHER_CHECKERS = ("frontrun", "minicheck")  # measured only by hand: their programs differ


class Fork(Shared):
    lock = mutex()


def philosophers_6(program: Program) -> None:
    forks = [Fork() for _ in range(6)]

    def eat(place: int) -> None:
        with forks[place].lock, forks[(place + 1) % 6].lock:
            pass

    for place in range(6):
        program.add_task(f"philosopher{place}", lambda place=place: eat(place))


class Subject(NamedTuple):
    """One program to explore."""

    name: str
    make: Callable[[], Any]
    build: Callable[[Any], None]


@dataclass
class Measured:
    """What the runs of one policy on one program gave."""

    schedules: int = 0
    steps: int = 0
    complete: bool = False
    seconds: list[float] = field(default_factory=list)

    def rate(self, count: int) -> str:
        return with_spread([count / seconds for seconds in self.seconds])


def subjects() -> list[Subject]:
    make = program_maker(find_design("huge_fault"), None)
    found = [Subject("philosophers(6)", Program, philosophers_6)]
    for name in ("zap_vs_fault", "disable_enable_vs_fault"):
        found.append(Subject(f"{name} on huge_fault", make, find_scenario(name)))
    return found


def run_once(subject: Subject, policy: Policy, measured: Measured) -> float:
    """Explore once, from the setup to the verdict; returns the seconds."""
    steps = 0

    def count(_search: Search, execution: Execution) -> None:
        nonlocal steps
        steps += execution.steps

    began = time.perf_counter()
    result = Search(
        subject.make, subject.build, lambda: policy, Limits(schedules=SCHEDULES), count
    ).run()
    seconds = time.perf_counter() - began
    measured.schedules, measured.steps = result.schedules, steps
    measured.complete = result.complete
    return seconds


def measure(subject: Subject) -> dict[str, Measured]:
    found = {policy: Measured() for policy in POLICIES}
    for repeat in range(REPEATS + 1):
        for policy, measured in found.items():
            # A search that ends soon is repeated, so that each time is well above the clock's.
            times = max(1, SCHEDULES // (measured.schedules or SCHEDULES))
            seconds = sum(
                run_once(subject, make_policy(policy, SEED), measured) for _ in range(times)
            )
            if repeat:
                measured.seconds.append(seconds / times)
    return found


def with_spread(values: list[float], digits: int = 0) -> str:
    middle = statistics.median(values)
    half = (max(values) - min(values)) / 2
    return f"{middle:,.{digits}f} ± {100 * half / middle:.0f}%"


def rows(subject: Subject, found: dict[str, Measured]) -> list[list[str]]:
    peer = found[PEER]
    out = []
    for policy, measured in found.items():
        ratios = [
            (measured.schedules / mine) / (peer.schedules / theirs)
            for mine, theirs in zip(measured.seconds, peer.seconds, strict=True)
        ]
        out.append(
            [
                subject.name,
                policy,
                f"{measured.schedules:,}" + ("" if measured.complete else " of more"),
                measured.rate(measured.schedules),
                measured.rate(measured.steps),
                with_spread(ratios, 2),
                f"{1000 * statistics.median(measured.seconds):,.0f} ms",
            ]
        )
    return out


HEADINGS = ["program", "policy", "schedules", "schedules/s", "steps/s", f": {PEER}", "time"]


def table(lines: list[list[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]

    def row(cells: list[str]) -> str:
        left = [cell.ljust(width) for cell, width in zip(cells[:2], widths[:2], strict=True)]
        right = [cell.rjust(width) for cell, width in zip(cells[2:], widths[2:], strict=True)]
        return "| " + " | ".join(left + right) + " |"

    rule = ["-" * width for width in widths[:2]] + ["-" * (w - 1) + ":" for w in widths[2:]]
    return "\n".join([row(lines[0]), row(rule), *map(row, lines[1:])])


def commit() -> str:
    command = ["git", "describe", "--always", "--dirty"]
    try:
        answer = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return answer.stdout.strip()


def circumstances() -> str:
    installed = {d.metadata["Name"].lower() for d in importlib.metadata.distributions()}
    absent = [name for name in OTHER_CHECKERS if name not in installed]
    return "\n".join(
        [
            f"- machine: {platform.platform()}, {os.cpu_count()} CPUs",
            f"- Python: {platform.python_version()}",
            f"- date: {datetime.now(UTC):%Y-%m-%d}, commit: {commit()}",
            f"- {REPEATS} runs after one to warm up, seed {SEED}, at most {SCHEDULES} schedules;"
            f" median ± half the range; `: {PEER}` compares schedules a second",
            f"- peers: {PEER}" + (f"; not installed: {', '.join(absent)}" if absent else ""),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the searches.")
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    write = parser.parse_args().write
    lines = [HEADINGS]
    for subject in subjects():
        lines += rows(subject, measure(subject))
    text = f"{table(lines)}\n\n{circumstances()}\n"
    print(text, end="")
    if write:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(f"# Performance\n\nWritten by `bench/run.py --write`.\n\n{text}", "utf-8")


if __name__ == "__main__":
    main()
