"""A search in parts that can run anywhere: in another process, on another machine, later.

A leaf of a wakeup tree stands for all that begins with it, and with no branch before it: what
leads into it is covered, in one search as in many.  So it can be given away, with copies of the
frames on the way to it, where what comes before counts as tried.  (A branch that has something
planned after it cannot: what its own sleep set hides is only found because others put it there.)
If a race in the part wants a sequence before its own frames, that goes into the copies, so as not
to be wanted again, and to the owner of the frame as a *wish*.  Each trace is explored in exactly
one part, as it would be in one search, whatever the order in which wishes come.

That is so for Optimal-DPOR.  A search that has become Source-DPOR is not split (frontier.py).

`run_slice` is a function of what it is given.  So if the process that runs one dies, the same
slice is run again somewhere else.
"""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pfnlab.engine.event import Event
from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.schedule import tell_schedule
from pfnlab.explorer.determinism import check_histories
from pfnlab.explorer.optimal import TREE_LIMIT, Optimal
from pfnlab.explorer.replay import Build, MakeProgram
from pfnlab.explorer.state import (
    BEGINNING,
    FrameState,
    State,
    Wish,
    frame_state,
    path_to,
    restore,
    save,
    twig_of,
)
from pfnlab.explorer.totals import Totals, memories_of
from pfnlab.explorer.wakeup import LENT, Branch


@dataclass(frozen=True)
class Work:
    """What one slice is about.

    wishes  what has been heard from others since
    """

    state: State
    wishes: tuple[Wish, ...] = ()


@dataclass(frozen=True)
class Budget:
    """When a slice ends, and how many branches to give away then."""

    schedules: int | None = None
    seconds: float | None = None
    give: int = 0


@dataclass
class Slice:
    """What came of a slice.

    state    where to go on; None if nothing is left
    waiting  nothing is left but in the branches that others explore
    parts    branches given away, each the state of a part
    wishes   for the owners of frames before the base
    fell_back  it has become Source-DPOR: what others have explored does not fit to that
    race     a field that tasks race for: the whole search begins anew, with it among its steps
    error    what the program did wrong, so that the whole search is over
    """

    totals: Totals = field(default_factory=Totals)
    state: State | None = None
    waiting: bool = False
    parts: tuple[State, ...] = ()
    wishes: tuple[Wish, ...] = ()
    fell_back: bool = False
    race: str = ""
    error: str = ""


class Workplace:
    """A program and all that is known of its tasks, for many slices of one search."""

    def __init__(
        self,
        make_program: MakeProgram,
        build: Build,
        racing: frozenset[str] = frozenset(),
        *,
        optimal: bool = True,
        limit: int = TREE_LIMIT,
        step_limit: int = STEP_LIMIT,
        depth: int | None = None,
    ) -> None:
        program = make_program()
        program.racing = racing
        self.racing = racing
        self.execution = Execution(program, build, step_limit=step_limit)
        self.search = Optimal(self.execution, optimal=optimal, limit=limit, depth=depth)

    def end(self) -> None:
        self.execution.end()

    def run(
        self, work: Work, budget: Budget, enough: Callable[[Totals], bool] = lambda _totals: False
    ) -> Slice:
        """Explore a part until the budget is spent, or `enough` says so between executions."""
        collecting = gc.isenabled()
        gc.disable()  # the heap only grows here, and has no garbage to look for
        try:
            return self._run(work, budget, enough)
        except Exception as error:
            tell_schedule(error, self.execution)
            raise
        finally:
            if collecting:
                gc.enable()

    def _run(self, work: Work, budget: Budget, enough: Callable[[Totals], bool]) -> Slice:
        search, execution = self.search, self.execution
        began = time.perf_counter()
        execution.take_over()
        search.machine.undo(0)
        execution.unchecked_race = ""
        search.machine.stop = search.machine.cut = False
        search.over = search.waiting = search.in_vain = False
        search.above = []
        restore(search, work.state, work.wishes)
        totals = Totals()
        while not execution.unchecked_race and search.next():
            totals.count(execution, search.machine.steps(), search.in_vain)
            if budget.schedules is not None and totals.schedules >= budget.schedules:
                break
            if budget.seconds is not None and time.perf_counter() - began >= budget.seconds:
                break
            if enough(totals):
                break
        return self._slice(work, totals, budget)

    def _slice(self, work: Work, totals: Totals, budget: Budget) -> Slice:
        search = self.search
        if self.execution.unchecked_race:
            return Slice(race=self.execution.unchecked_race)
        totals.memories = memories_of(self.execution.program)
        totals.cut, totals.fell_back = search.machine.cut, search.fell_back
        over = not search.more
        if over:
            check_histories(search.machine.tries)
        parts = (
            []
            if over or search.fell_back
            else give_away(search, None if search.waiting else budget.give)
        )
        return Slice(
            totals,
            None if over else save(search),
            search.waiting,
            tuple(parts),
            tuple(_wish(work, depth, events) for depth, events in search.above),
            search.fell_back,
        )


def give_away(search: Optimal, most: int | None) -> list[State]:
    """Leaves that others may explore: at most so many, those nearest to the beginning first."""
    parts: list[State] = []
    frames = [frame_state(frame) for frame in search.frames]
    for depth in range(search.base, len(frames)):
        frame = search.frames[depth]
        way, saved = frames[:depth], frames[depth]
        for branch, ahead in zip(frame.tree, _taken(saved)[saved.taken :], strict=True):
            _give(branch, [*way, ahead], parts, most)
            if len(parts) == most:
                return parts
    return parts


def _taken(frame: FrameState) -> list[FrameState]:
    """A frame as it will be when each of its branches is taken: those before it were tried."""
    return [
        frame._replace(
            taken=True,
            slept=(*frame.slept, *[before.first for before in frame.tree[:place]]),
            tree=(twig.first, *frame.tree[place + 1 :]),
        )
        for place, twig in enumerate(frame.tree)
    ]


def _give(branch: Branch, way: list[FrameState], parts: list[State], most: int | None) -> None:
    """Give away the leaves of a branch."""
    while not branch.leaf:
        after = branch.after
        frame = FrameState(False, (), (), tuple(map(twig_of, after)))
        *others, last = zip(after, _taken(frame), strict=True)
        for other, ahead in others:
            if len(parts) == most:
                return
            _give(other, [*way, ahead], parts, most)
        branch, ahead = last
        way = [*way, ahead]
    if not branch.lent and len(parts) != most:
        branch.lent = LENT
        parts.append(State((*way, *BEGINNING.frames), len(way)))


def _wish(work: Work, depth: int, events: list[Event]) -> Wish:
    steps = tuple((event.task, event.choice) for event in events)
    return Wish(path_to(work.state, depth), steps)
