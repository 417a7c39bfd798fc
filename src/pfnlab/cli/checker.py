"""What a process does for a command: whole checks, and slices of big ones."""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from pfnlab.catalogue import explaining, find_pair
from pfnlab.cli.runs import Options, Pair
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import Execution
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.result import Result
from pfnlab.explorer.search import Limits, Reduced, Search
from pfnlab.explorer.slices import Budget, Slice, Work, Workplace
from pfnlab.explorer.state import State, save
from pfnlab.explorer.totals import Totals, take_over, totals_of
from pfnlab.verdict import make_policy, program_maker, source_files

WORKPLACES = 3  # programs that a process keeps, with all that is known of their tasks


class Paused(BaseException):
    """Ends a search whose state has been saved; nothing on the way may catch it."""


@dataclass
class Whole:
    """What came of a check that was run in one piece: a result, or how far it came."""

    result: Result | None
    totals: Totals | None = None
    state: State | None = None
    racing: frozenset[str] = frozenset()
    seconds: float = 0.0


def reduced(options: Options) -> Reduced | None:
    """The policy, if it is one whose searches can be saved and split."""
    policy = make_policy(options.policy, options.seed, options.preemptions)
    saves = isinstance(policy, Reduced) and policy.preemptions is None
    return policy if isinstance(policy, Reduced) and saves else None


class Checker:
    """Runs checks of one command."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.policy = reduced(options)
        self.places: OrderedDict[tuple[Pair, frozenset[str]], Workplace] = OrderedDict()

    @property
    def splits(self) -> bool:
        """Whether a search can be explored in parts."""
        return self.policy is not None and self.policy.optimal

    def whole(
        self,
        pair: Pair,
        pause: Callable[[float], bool],
        interrupted: Callable[[], bool],
        show: Callable[[Search], None] = lambda _search: None,
    ) -> Whole:
        """Run a check until it ends or, between two executions, `pause` says that it is enough.

        `pause` is given the seconds so far.  A limit is a pause, too: another command may go on.
        """
        began = time.perf_counter()
        paused = Whole(None)
        last: list[Any] = []
        saves = self.policy is not None

        def look(search: Search, execution: Execution) -> None:
            nonlocal saves
            last[:] = [search, execution.program]
            show(search)
            seconds = time.perf_counter() - began
            if not saves or not isinstance(search.reduced, Optimal):
                if interrupted():
                    raise KeyboardInterrupt
                return
            enough = pause(seconds) or self.options.reached(search.schedules, seconds)
            if enough and search.reduced.more and not execution.unchecked_race:
                try:
                    paused.state = save(search.reduced)
                except RecursionError:  # planned ways part hundreds of times in a row
                    saves = False
                    return
                paused.totals = totals_of(search, execution.program)
                paused.racing, paused.seconds = search.racing, seconds
                raise Paused

        try:
            result = self.options.explore(pair, look)
        except Paused:
            return paused
        except ModelError as error:
            return Whole(self.failed(str(error)))
        totals = totals_of(last[0], last[1]) if last and self.policy is not None else None
        racing = last[0].racing if last else frozenset()
        return Whole(result, totals, None, racing, result.seconds)

    def slice(
        self,
        pair: Pair,
        racing: frozenset[str],
        work: Work,
        budget: Budget,
        enough: Callable[[Totals], bool] = lambda _totals: False,
    ) -> Slice:
        """Run a slice of a check, in the workplace of its program."""
        assert self.policy is not None
        key = (pair, racing)
        place = self.places.pop(key, None)
        design, scenario = find_pair(*pair)
        try:
            with explaining(source_files(scenario, design)):
                if place is None:
                    make = program_maker(design, self.options.rules, self.options.kernel)
                    place = Workplace(
                        make, scenario, racing,
                        optimal=self.policy.optimal, depth=self.options.depth,
                    )  # fmt: skip
                done = place.run(work, budget, enough)
        except ModelError as error:
            return Slice(error=str(error))
        self.places[key] = place
        if len(self.places) > WORKPLACES:
            self.places.popitem(last=False)[1].end()
        return done

    def failed(self, error: str) -> Result:
        """The result of a search that the program has ended."""
        return Result((), 0, 0, 0, False, 0, self.options.policy, error=error)

    def result(
        self, pair: Pair, totals: Totals, racing: frozenset[str], why: str, seconds: float
    ) -> Result:
        """The result of a search that was made in parts."""
        assert self.policy is not None
        policy = self.policy
        design, scenario = find_pair(*pair)
        make = program_maker(design, self.options.rules, self.options.kernel)
        limits = Limits(depth=self.options.depth)
        search = Search(make, scenario, lambda: policy, limits, racing=racing)
        search.policy, search.why_incomplete = policy, why
        take_over(search, totals)
        program = make()
        program.racing = racing
        execution = Execution(program, scenario, step_limit=search.limits.steps)
        totals.remember(program)
        result = search.result(execution, time.perf_counter())
        execution.end()
        return replace(result, seconds=seconds)
