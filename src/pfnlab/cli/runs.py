"""How a command searches, and its line of progress."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from pfnlab.catalogue import NO_DESIGN, find_pair
from pfnlab.engine.execution import Execution
from pfnlab.explorer.result import Result
from pfnlab.explorer.search import Search
from pfnlab.verdict import explore

SAY_EVERY = 60.0  # seconds

Pair = tuple[str, str]  # design (or NO_DESIGN) and scenario, as the user names them


def names_of(pair: Pair) -> Pair:
    """The design and scenario by their own names."""
    design, scenario = find_pair(*pair)
    return design.name if design else NO_DESIGN, scenario.name


def as_given(pair: Pair) -> str:
    """The design and scenario as the user named them."""
    return " ".join(filter(None, pair))


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

    def with_limits(self, other: "Options") -> "Options":
        """The same, with the limits that another one has."""
        most, longest = other.max_schedules, other.max_seconds
        return replace(
            self,
            max_schedules=self.max_schedules if most is None else most,
            max_seconds=self.max_seconds if longest is None else longest,
        )

    def reached(self, schedules: int, seconds: float) -> bool:
        """Whether a search has come to a limit."""
        most, longest = self.max_schedules, self.max_seconds
        return (most is not None and schedules >= most) or (
            longest is not None and seconds >= longest
        )

    def flags(self) -> tuple[str, ...]:
        """What a command needs to look at the same things: kernel and rules."""
        kernel = ("--kernel", self.kernel) if self.kernel is not None else ()
        return (*kernel, *(part for rule in self.rules or () for part in ("--rule", rule)))

    def explore(
        self, pair: Pair, progress: Callable[[Search, Execution], None] | None = None
    ) -> Result:
        design, scenario = find_pair(*pair)
        return explore(
            scenario,
            design,
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
    """A line on stderr, one a minute where that is no terminal; it gets a text and checks done."""
    console = Console(stderr=True)
    if not console.is_terminal:
        said = time.monotonic()

        def say(text: str, done: int) -> None:
            nonlocal said
            if time.monotonic() - said >= SAY_EVERY:
                print(f"pfnlab: {text}, {done} of {total} done", file=sys.stderr, flush=True)
                said = time.monotonic()

        yield say
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
    )  # fmt: skip
    # Drawn by no thread, as processes are forked while it is there.
    with Progress(*columns, console=console, transient=True, auto_refresh=False) as progress:
        bar = progress.add_task("", total=total)
        yield lambda text, done: progress.update(
            bar, description=text, completed=done, refresh=True
        )
