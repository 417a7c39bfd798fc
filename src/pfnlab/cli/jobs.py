"""All checks of a command: in this process, in several, or on a cluster."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from pfnlab.cli.board import Board
from pfnlab.cli.checker import Checker
from pfnlab.cli.checkpoint import Checkpoint, alone
from pfnlab.cli.processes import ENDS, PATIENCE, SHARE, Processes
from pfnlab.cli.runs import Options, Pair, progress_line
from pfnlab.cli.stuck import no_endless_code
from pfnlab.explorer.result import Result
from pfnlab.explorer.search import Search
from pfnlab.report.counterexample import title_text
from pfnlab.report.progress import progress_text

SHOW_EVERY = 0.2  # seconds
ENDING = "ending after the execution that runs; Ctrl-C again ends at once"


@dataclass(frozen=True)
class Where:
    """Where checks run, and what is kept of them.

    ray         the address of a cluster, "" for one of its own; None for no cluster
    checkpoint  a file; None for the usual one
    resumed     what a checkpoint holds
    """

    jobs: int = 1
    ray: str | None = None
    checkpoint: Path | None = None
    resumed: dict[str, Any] | None = field(default=None, compare=False)


def run_all(pairs: list[Pair], options: Options, where: Where) -> dict[Pair, Result | None]:
    """Every check.  After Ctrl-C those that did not end are None, or what they had found."""
    board = Board(pairs, Checker(options), where.jobs)
    checkpoint = Checkpoint(where.checkpoint, pairs, options)
    if where.resumed is not None:
        checkpoint.load(where.resumed, board)
    with (
        alone(where.checkpoint),
        ctrl_c() as interrupted,
        no_endless_code(options.max_seconds),
        progress_line(len(pairs)) as show,
    ):
        with suppress(KeyboardInterrupt):  # the second one
            _Run(board, checkpoint, where, interrupted, show).run()
        if interrupted():
            board.interrupt()
            checkpoint.write(board, now=True)
            tell(f"interrupted{'; --resume goes on from here' if checkpoint.made else ''}")
        elif any(check.unfinished for check in board.checks):
            checkpoint.write(board, now=True)
            if checkpoint.made:
                tell("a limit was reached; --resume with a larger one goes on from here")
        elif board.over:
            checkpoint.remove()
    return board.results()


@dataclass
class _Run:
    """Working off a board."""

    board: Board
    checkpoint: Checkpoint
    where: Where
    interrupted: Callable[[], bool]
    show: Callable[[str, int], None]
    shown: float = 0.0

    def run(self) -> None:
        jobs = self.where.jobs
        if self.where.ray is not None:
            from pfnlab.cli.cluster import Cluster

            Cluster(self.board, self.where.ray).run(lambda: self.tick("Ray"))
            return
        if jobs == 1 or len(self.board.checks) == 1:
            # A small check is over before another process has begun.
            self.here(PATIENCE if jobs > 1 else SHARE, only_whole=jobs > 1)
        if jobs > 1 and not self.board.over and not self.interrupted():
            Processes(self.board, jobs).run(lambda: self.tick(f"{jobs} processes"))

    def tick(self, who: str) -> bool:
        """Called now and then: whether to stop."""
        if time.monotonic() - self.shown >= SHOW_EVERY:
            self.shown = time.monotonic()
            many = f", {self.board.schedules} schedules" if self.board.schedules else ""
            self.show(f"{who}{many}", self.board.done)
        self.checkpoint.write(self.board)
        return self.interrupted()

    def here(self, patience: float, *, only_whole: bool) -> None:
        """In this process, until a check has taken too long to be done alone."""
        board = self.board
        if not only_whole:
            board.slice_seconds = SHARE  # nobody else waits for a part of it
        while not board.over and not self.interrupted():
            if only_whole and board.checks[0].begun:
                break
            task = board.take()
            if task is None:
                break
            name = title_text(*task.pair)

            def show(search: Search, name: str = name) -> None:
                if time.monotonic() - self.shown >= SHOW_EVERY:
                    self.shown = time.monotonic()
                    self.show(f"{name}: {progress_text(search.progress())}", board.done)

            if task.work is None:
                whole = board.checker.whole(
                    task.pair,
                    lambda seconds: seconds >= patience or self.interrupted(),
                    self.interrupted,
                    show,
                )
                board.whole(task, whole)
            else:
                before = board.schedules

                def enough(totals: Any, name: str = name, before: int = before) -> bool:
                    if time.monotonic() - self.shown >= SHOW_EVERY:
                        self.shown = time.monotonic()
                        many = before + totals.schedules
                        self.show(f"{name}: {many} schedules", board.done)
                    return self.interrupted()

                done = board.checker.slice(task.pair, task.racing, task.work, task.budget, enough)
                board.slice(task, done)
            self.checkpoint.write(board)


def tell(text: str) -> None:
    print(f"pfnlab: {text}", file=sys.stderr)


@contextmanager
def ctrl_c() -> Iterator[Callable[[], bool]]:
    """Whether Ctrl-C or SIGTERM has come: a search stops where it can be saved.

    The second one ends all.
    """
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        # Not print(), which may be what was interrupted.  The line of progress has no end.
        end = "\n" if os.isatty(2) else ""
        os.write(2, f"{end}pfnlab: {ENDING}\n".encode())

    before = {number: signal.signal(number, note) for number in ENDS}
    try:
        yield lambda: bool(came)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
