"""How fast the search is, on both cores and beside other checkers.

    make bench                      measure, and write docs/performance.md
    python -m bench.run --print     measure, and print it only
    python -m bench.run --quick     one repeat of a few programs, to see that it works

Everything that is compared takes turns, so that a machine that slows down slows all of it.
Nothing is random: the search has no seed, and a count that differs from the known one ends
the measurement.  Compare ratios between machines, and times within one table only.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.page import commit, load, machine, now, ratio, table, with_spread, write
from bench.peers import Peers
from bench.programs import RATES, subjects
from pfnlab.core import description

REPEATS = 5
PYTHON = {
    "compiled": [sys.executable],
    "interpreted": [sys.executable, "-X", "pfnlab=interpreted"],
}
MOST = {"compiled": 16_000, "interpreted": 4_000}  # executions of one run
VERDICTS = {
    "lastzero(8)": ("SPIN", "minicheck"),
    "philosophers(8)": ("SPIN", "minicheck"),
    "counter(5)": ("SPIN", "minicheck"),
    "counter(3)": ("minicheck", "frontrun"),
}
CHECKS = (
    ("huge_fault", "zap_vs_fault"),
    ("remap_on_fault_unchecked", "two_faults"),
    ("insert_vma_on_fault", "disable_enable_vs_fault"),
)
SLOW_PEER = ("frontrun", "lastzero(4)")
MEMORY = "mpat(7)"  # 645,120 traces of a lock program
WHOLE = "lastzero(15)"


def explore(core: str, name: str, *options: object) -> dict[str, Any]:
    command = [*PYTHON[core], "-m", "bench.explore", name, *map(str, options)]
    answer = subprocess.run(command, capture_output=True, text=True, check=False)
    if answer.returncode:
        raise SystemExit(f"{' '.join(command)}: {answer.stderr or answer.stdout}")
    found: dict[str, Any] = json.loads(answer.stdout)
    return found


def seconds(command: list[str]) -> tuple[float, float]:
    """From the command to its end: CPU time, also of what it starts, and wall time."""
    began, used = time.perf_counter(), cpu_of_children()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):  # 1: a check has found something
        raise SystemExit(f"{' '.join(command)}: {done.stderr or done.stdout}")
    return cpu_of_children() - used, time.perf_counter() - began


def cpu_of_children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def rates(names: tuple[str, ...], repeats: int) -> str:
    lines = [["program", "traces", "events", "compiled", "interpreted", "ratio"]]
    for name in names:
        found = {
            core: explore(core, name, "--runs", repeats + 1, "--most", MOST[core])
            for core in PYTHON
        }
        fast, slow = found["compiled"]["rates"], found["interpreted"]["rates"]
        part = {core: "" if one["complete"] else " *" for core, one in found.items()}
        lines.append(
            [
                name,
                f"{subjects()[name].traces:,}",
                str(max(one["events"] for one in found.values())),
                with_spread(fast) + part["compiled"],
                with_spread(slow) + part["interpreted"],
                ratio(fast, slow),
            ]
        )
        print(" ".join(lines[-1]), file=sys.stderr)
    return table(lines)


def verdicts(peers: Peers, names: list[str], repeats: int) -> str:
    others = ("SPIN", "minicheck", "frontrun")
    lines = [["program", "compiled", "interpreted", *others, "best peer : compiled"]]
    for name in names:
        commands: dict[str, list[str]] = {
            core: [*PYTHON[core], "-m", "bench.explore", name] for core in PYTHON
        }
        for peer in VERDICTS[name]:
            command = peers.command(peer, name)
            if command is not None:
                commands[peer] = command
        times: dict[str, list[float]] = {who: [] for who in commands}
        for repeat in range(repeats + 1):
            for who, command in commands.items():
                cpu, _wall = seconds(command)
                if repeat:
                    times[who].append(cpu)
        peer_times = [times[peer] for peer in others if peer in times]
        best = min(peer_times, key=statistics.median, default=None)
        lines.append(
            [
                name,
                *(
                    with_spread(times[who], 2) if who in times else "-"
                    for who in (*PYTHON, *others)
                ),
                ratio(best, times["compiled"]) if best is not None else "-",
            ]
        )
        print(" ".join(lines[-1]), file=sys.stderr)
    return table(lines)


def checks(pairs: tuple[tuple[str, str], ...], repeats: int) -> str:
    lines = [["check", "compiled", "CPU", "interpreted", "CPU"]]
    program = str(Path(sys.executable).parent / "pfnlab")
    for pair in pairs:
        times: dict[str, list[tuple[float, float]]] = {core: [] for core in PYTHON}
        for repeat in range(repeats + 1):
            for core, python in PYTHON.items():
                took = seconds([*python, program, "check", *pair])
                if repeat:
                    times[core].append(took)
        columns = []
        for core in PYTHON:
            cpu, wall = zip(*times[core], strict=True)
            columns += [with_spread(list(wall), 2), with_spread(list(cpu), 2)]
        lines.append([" ".join(pair), *columns])
        print(" ".join(lines[-1]), file=sys.stderr)
    return table(lines)


def slow_peer(peers: Peers) -> str:
    """What a peer makes of a program that it does not finish: executions a second."""
    name, program = SLOW_PEER
    command = peers.command(name, program)
    if command is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    words = done.stdout.split()[-2:]
    if done.returncode or len(words) < 2:
        return f"{name} did not run {program}: {(done.stderr or done.stdout)[-200:]!r}\n\n"
    made, took = int(words[0]), float(words[1])
    ours = explore("compiled", program)
    return (
        f"{name} makes {made / took:,.0f} executions a second of {program}, and had not finished"
        f" after {made:,}; it has {ours['executions']} traces.\n\n"
    )


def large(quick: bool) -> str:
    """Programs that are explored to their end once: their time and memory."""
    lines = [["program", "traces", "CPU seconds", "executions/s", "peak MB"]]
    for name in ("mpat(5)",) if quick else (WHOLE, MEMORY):
        found = explore("compiled", name)
        rate = found["rates"][0]
        took = found["executions"] / rate
        lines.append(
            [
                name,
                f"{found['executions']:,}",
                f"{took:.1f}",
                f"{rate:,.0f}",
                f"{found['megabytes']:.0f}",
            ]
        )
        print(" ".join(lines[-1]), file=sys.stderr)
    return table(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the search.")
    parser.add_argument("--print", action="store_true", help="do not write the page")
    parser.add_argument("--quick", action="store_true", help="see that it works")
    options = parser.parse_args()
    if description() != "compiled core":
        raise SystemExit(f"bench: {description()}; run make compile")
    quick = options.quick
    repeats = 1 if quick else REPEATS
    began, load_before = time.perf_counter(), load()
    most = " or ".join(f"{most:,}" for most in MOST.values())
    with tempfile.TemporaryDirectory() as folder:
        peers = Peers(Path(folder))
        parts = [
            "Executions a second and core, of the search alone, of CPU time"
            f" (* stopped after {most}):\n",
            rates(RATES[:2] if quick else RATES, repeats),
            "\nCommand to verdict, CPU seconds of all processes (SPIN: generate, compile, run):\n",
            verdicts(peers, list(VERDICTS)[:1] if quick else list(VERDICTS), repeats),
            "\n"
            + slow_peer(peers)
            + "`pfnlab check` from the command to the verdict, seconds of wall time, and of CPU:\n",
            checks(CHECKS[:1] if quick else CHECKS, repeats),
            "\nExplored to the end, once, with the compiled core:\n",
            large(quick),
        ]
        found = ", ".join(f"{name} {version}" for name, version in peers.found.items())
        absent = ", ".join(peers.absent)
    text = "\n".join(parts) + "\n\n" + "\n".join(
        [
            f"- machine: {machine()}; load average {load_before} before, {load()} after",
            f"- {now()}, commit {commit()}, {time.perf_counter() - began:.0f} s in all",
            f"- {repeats} repeats after one to warm up, in turns; median ± half the range",
            f"- installed for this run: {found or 'nothing'}; absent: {absent or 'none'}",
        ]
    ) + "\n"  # fmt: skip
    print(text)
    if not (options.print or quick):
        write(text)


if __name__ == "__main__":
    main()
