"""Who does what next: all checks of a command, and the parts of those that are big.

It runs nothing.  Processes, or machines, take tasks and bring back what came of them; whatever
is not brought back is taken again by somebody else.
"""

import time
from dataclasses import dataclass, field

from pfnlab.cli.checker import Checker, Whole
from pfnlab.cli.runs import Pair
from pfnlab.engine.errors import ModelError
from pfnlab.explorer.frontier import Frontier
from pfnlab.explorer.result import Result, after_schedules, after_seconds
from pfnlab.explorer.slices import Budget, Slice, Work
from pfnlab.explorer.totals import Totals

SLICE_SECONDS = 1.0
DEATHS = 3  # processes that may die over one task


@dataclass(frozen=True)
class Task:
    """A check to run whole, or a slice of a part of it."""

    check: int
    pair: Pair
    racing: frozenset[str] = frozenset()
    part: int = -1
    work: Work | None = None
    budget: Budget = field(default_factory=Budget)


@dataclass
class Check:
    """One check of the command; `frontier` once it is in parts, `result` when it is over."""

    pair: Pair
    begun: bool = False
    frontier: Frontier | None = None
    totals: Totals = field(default_factory=Totals)
    racing: frozenset[str] = frozenset()
    seconds: float = 0.0  # before `since`
    since: float = 0.0
    result: Result | None = None
    told: bool = True  # the totals hold all that led to the result
    promised: int = 0  # executions, to slices that run

    @property
    def counted(self) -> Totals:
        return self.frontier.totals if self.frontier is not None else self.totals

    @property
    def unfinished(self) -> bool:
        """There is something left that can be gone on with."""
        return self.frontier is not None and not self.frontier.over

    def spent(self) -> float:
        return self.seconds + (time.monotonic() - self.since if self.since else 0.0)


class Board:
    """The checks of a command."""

    def __init__(self, pairs: list[Pair], checker: Checker, workers: int) -> None:
        self.checks = [Check(pair) for pair in pairs]
        self.checker = checker
        self.workers = workers
        self.slice_seconds = SLICE_SECONDS
        self.deaths: dict[tuple[int, int], int] = {}
        self.interrupted = False

    @property
    def over(self) -> bool:
        return all(check.result is not None for check in self.checks)

    def results(self) -> dict[Pair, Result | None]:
        return {check.pair: check.result for check in self.checks}

    @property
    def done(self) -> int:
        return sum(check.result is not None for check in self.checks)

    @property
    def schedules(self) -> int:
        """Executions of the searches that are in parts."""
        return sum(c.counted.schedules for c in self.checks if c.frontier and c.result is None)

    # ---- taking

    def take(self) -> Task | None:
        """Something to do, if there is anything now."""
        if self.interrupted:
            return None
        for index, check in enumerate(self.checks):
            if check.result is None and not check.begun:
                check.begun = True
                return Task(index, check.pair)
        for index, check in enumerate(self.checks):
            if check.result is None and check.frontier is not None:
                task = self._slice(index, check, check.frontier)
                if task is not None:
                    return task
                self.look(index)  # its time may be over while nobody worked at it
        return None

    def _slice(self, index: int, check: Check, frontier: Frontier) -> Task | None:
        options = self.checker.options
        seconds, most = self.slice_seconds, options.max_schedules
        if options.max_seconds is not None:
            seconds = min(seconds, options.max_seconds - check.spent())
            if seconds <= 0:
                return None
        if most is not None:
            left = most - check.counted.schedules - check.promised
            if left <= 0:
                return None
            most = -(-left // self.workers)
        taken = frontier.take()
        if taken is None:
            return None
        check.promised += most or 0
        check.since = check.since or time.monotonic()
        lacking = 2 * self.workers - len(frontier.ready)
        splits = self.workers > 1 and self.checker.splits and not frontier.whole
        give = max(0, lacking) if splits else 0
        part, work = taken
        budget = Budget(most, seconds, give)
        return Task(index, check.pair, check.racing, part, work, budget)

    # ---- giving back

    def whole(self, task: Task, whole: Whole) -> None:
        """A check has ended, or goes on in parts."""
        check = self.checks[task.check]
        check.totals, check.racing = whole.totals or Totals(), whole.racing
        check.seconds = whole.seconds
        if whole.result is not None:
            check.result, check.told = whole.result, whole.totals is not None
            return
        assert whole.state is not None
        check.frontier = Frontier(whole.state, check.totals)
        self.look(task.check)

    def slice(self, task: Task, done: Slice) -> None:
        check = self.checks[task.check]
        if check.racing != task.racing or check.frontier is None or check.result is not None:
            return  # the search has begun anew in the meantime
        check.promised -= task.budget.schedules or 0
        if done.error:
            check.result, check.told = self.checker.failed(done.error), False
            check.frontier = None
            return
        if done.race:
            # Only race-free accesses need no scheduling: begin anew, with these as steps.
            check.racing |= {done.race}
            check.frontier, check.promised = Frontier(), 0
            return
        check.frontier.give_back(task.part, done)
        self.look(task.check)

    def lost(self, task: Task, why: str) -> None:
        """Whoever had a task is gone: somebody else gets it."""
        key = (task.check, task.part)
        self.deaths[key] = self.deaths.get(key, 0) + 1
        if self.deaths[key] == DEATHS:
            raise ModelError(f"{' '.join(task.pair)}: {DEATHS} processes died over it ({why})")
        check = self.checks[task.check]
        if task.part < 0:
            check.begun = False
        elif check.racing == task.racing and check.frontier is not None:
            check.promised -= task.budget.schedules or 0
            check.frontier.lost(task.part)

    def look(self, index: int) -> None:
        """Whether a search in parts is over, or has reached a limit."""
        check, options = self.checks[index], self.checker.options
        assert check.frontier is not None
        if check.frontier.over:
            self._conclude(check, "")
        elif options.max_schedules is not None and check.counted.schedules >= options.max_schedules:
            self._conclude(check, after_schedules(options.max_schedules))
        elif (
            options.max_seconds is not None
            and check.spent() >= options.max_seconds
            and not check.frontier.running
        ):
            self._conclude(check, after_seconds(options.max_seconds))

    def interrupt(self) -> None:
        """Make results of what there is."""
        for check in self.checks:
            if check.result is None and check.frontier is not None:
                self._conclude(check, "interrupted")

    def _conclude(self, check: Check, why: str) -> None:
        check.seconds, check.since = check.spent(), 0.0
        check.result = self.checker.result(
            check.pair, check.counted, check.racing, why, check.seconds
        )
