"""Running checks: one after the other, or side by side in processes, with progress."""

import concurrent.futures
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pfnlab.catalogue import find_design, find_scenario
from pfnlab.engine.execution import Execution
from pfnlab.explorer.result import Result
from pfnlab.explorer.search import Search
from pfnlab.report.progress import progress_text
from pfnlab.verdict import explore

Pair = tuple[str, str]  # design and scenario, as the user names them
SHOW_EVERY = 0.2  # seconds


@dataclass(frozen=True)
class Options:
    """How to search; the same for every check of a command."""

    policy: str
    kernel: str | None
    rules: tuple[str, ...] | None
    max_schedules: int | None
    max_seconds: float | None
    preemptions: int | None
    seed: int
    depth: int | None = None

    def flags(self) -> tuple[str, ...]:
        """What a command needs to look at the same things: kernel and rules."""
        kernel = ("--kernel", self.kernel) if self.kernel is not None else ()
        return (*kernel, *(part for rule in self.rules or () for part in ("--rule", rule)))

    def explore(
        self, pair: Pair, progress: Callable[[Search, Execution], None] | None = None
    ) -> Result:
        design, scenario = pair
        return explore(
            find_scenario(scenario),
            find_design(design),
            policy=self.policy,
            kernel=self.kernel,
            rules=self.rules,
            max_schedules=self.max_schedules,
            max_seconds=self.max_seconds,
            preemptions=self.preemptions,
            depth=self.depth,
            seed=self.seed,
            progress=progress,
        )


@contextmanager
def progress_line(total: int) -> Iterator[Callable[[str, int], None]]:
    """A line on stderr while it is a terminal; the callback gets a text and checks done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _text, _done: None
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task("", total=total)
        yield lambda text, done: progress.update(bar, description=text, completed=done)


def run_all(pairs: list[Pair], options: Options, jobs: int) -> dict[Pair, Result | None]:
    """Every check.  After Ctrl-C those that did not end are None, or what they had found."""
    if jobs > 1 and len(pairs) > 1:
        return _side_by_side(pairs, options, min(jobs, len(pairs)))
    with progress_line(len(pairs)) as show:
        return _one_by_one(pairs, options, show)


def _one_by_one(
    pairs: list[Pair], options: Options, show: Callable[[str, int], None]
) -> dict[Pair, Result | None]:
    results: dict[Pair, Result | None] = dict.fromkeys(pairs)
    shown = 0.0
    for done, pair in enumerate(pairs):

        def progress(
            search: Search, _execution: Execution, done: int = done, pair: Any = pair
        ) -> None:
            nonlocal shown
            now = time.perf_counter()
            if now - shown >= SHOW_EVERY:
                shown = now
                show(f"{pair[1]} on {pair[0]}: {progress_text(search.progress())}", done)

        try:
            result = options.explore(pair, progress)
        except KeyboardInterrupt:  # before the search of this pair had begun
            break
        results[pair] = result
        if result.why_incomplete == "interrupted":
            break
    return results


def _side_by_side(pairs: list[Pair], options: Options, jobs: int) -> dict[Pair, Result | None]:
    results: dict[Pair, Result | None] = dict.fromkeys(pairs)
    pool = concurrent.futures.ProcessPoolExecutor(jobs, initializer=_leave_ctrl_c_to_parent)
    try:
        # The processes begin before the line, which is drawn by a thread: none is forked with it.
        futures = {pool.submit(options.explore, pair): pair for pair in pairs}
        with progress_line(len(pairs)) as show:
            show(f"{jobs} processes", 0)
            for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
                results[futures[future]] = future.result()
                show(f"{jobs} processes", done)
    except KeyboardInterrupt:
        print("pfnlab: interrupted", file=sys.stderr)
    finally:
        # Whatever ended this, nobody waits for the checks that still run.
        for process in list((pool._processes or {}).values()):
            process.kill()
        pool.shutdown(wait=False, cancel_futures=True)
    return results


def _leave_ctrl_c_to_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
