"""The search: run executions as a policy chooses them, and keep what they find."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.program import Program
from pfnlab.engine.schedule import tell_schedule
from pfnlab.explorer.bounded import Bounded
from pfnlab.explorer.by_code import run_code, steps_of
from pfnlab.explorer.determinism import check_histories
from pfnlab.explorer.estimate import Progress, estimate
from pfnlab.explorer.keep import Kept
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.policy import Policy
from pfnlab.explorer.replay import Build, MakeProgram
from pfnlab.explorer.result import Note, Result, after_schedules, after_seconds, many
from pfnlab.explorer.retell import Retelling
from pfnlab.explorer.walk import Aside, Pct, RandomWalk, walk

WALK_AFTER = 200  # executions.  A search that is over by then needs no help.
WALKS = 200


@dataclass(frozen=True)
class Limits:
    """When to stop a search that has not ended.  None means never."""

    schedules: int | None = None
    seconds: float | None = None
    steps: int = STEP_LIMIT  # of one task, after which it is said never to end
    depth: int | None = None  # of one task, after which it is not looked at any further


@dataclass(frozen=True)
class Reduced:
    """Search up to independence, by Optimal-DPOR or, as a second opinion, Source-DPOR.

    With a bound on preemptions there is no reduction: see bounded.py.
    """

    optimal: bool = True
    preemptions: int | None = None

    @property
    def name(self) -> str:
        if self.preemptions is not None:
            return "preemptions"
        return "dpor" if self.optimal else "source"

    def begin(self, execution: Execution, depth: int | None) -> "Optimal | Bounded":
        if self.preemptions is not None:
            return Bounded(execution, self.preemptions, depth)
        return Optimal(execution, optimal=self.optimal, depth=depth)


@dataclass
class Search:
    """One search over one program."""

    make_program: MakeProgram
    build: Build
    make_policy: Callable[[], "Policy | Reduced"]
    limits: Limits = field(default_factory=Limits)
    on_execution: Callable[["Search", Execution], None] | None = None
    seed: int = 0  # of the walks
    schedules: int = 0
    walks: int = 0
    given_up: int = 0
    longest: int = 0
    cut: bool = False  # an execution was longer than the limit
    fell_back: bool = False  # a part of it, that ran elsewhere, has become Source-DPOR
    why_incomplete: str = ""
    racing: frozenset[str] = frozenset()
    kept: Kept = field(default_factory=Kept)
    reduced: Optimal | Bounded | None = None  # while it runs
    began: float = 0.0

    def run(self) -> Result:
        """Search to the end, to a limit, or to Ctrl-C; whatever was found is in the result."""
        began = self.began = time.perf_counter()
        # The heap only grows here, and has no garbage to look for.
        collecting = gc.isenabled()
        gc.disable()
        try:
            execution = self._until_settled(began)
        finally:
            if collecting:
                gc.enable()
        return self.result(execution, began)

    def _until_settled(self, began: float) -> Execution:
        """Search, and begin anew for each field that is found to race, and may."""
        while True:
            self.policy = self.make_policy()
            execution = Execution(self._program(), self.build, step_limit=self.limits.steps)
            try:
                race = self._run_all(execution, began)
            except KeyboardInterrupt:
                self.why_incomplete = "interrupted"
                race = ""
            except Exception as error:
                tell_schedule(error, execution)
                raise
            finally:
                execution.end()
            if not race:
                return execution
            # Only race-free accesses need no scheduling (see step.py): begin anew, with
            # every access to this field a step.  What was found so far will be found again.
            self.racing |= {race}
            self.schedules = self.given_up = self.longest = self.walks = 0
            self.kept = Kept()

    def result(self, execution: Execution, began: float) -> Result:
        retelling = Retelling(self.make_program, self.build, self.racing, self.limits.steps)
        policy = self.policy
        bound = self._bound()
        complete = isinstance(policy, Reduced) or policy.complete
        notes = self.kept.notes
        return Result(
            findings=tuple(retelling.findings(self.kept, execution)),
            schedules=self.schedules,
            given_up=self.given_up,
            failing=self.kept.failing,
            complete=complete and not (self.why_incomplete or bound),
            steps=self.longest,
            policy=policy.name,
            why_incomplete=self.why_incomplete or bound,
            seed=None if isinstance(policy, Reduced) else policy.seed,
            walks=self.walks,
            fell_back=self.fell_back or (self.reduced is not None and self.reduced.fell_back),
            seconds=time.perf_counter() - began,
            notes=tuple(
                Note(rule.rule, notes[rule.rule.name][1], notes[rule.rule.name][0].schedule)
                for rule in execution.program.invariants
                if rule.rule.name in notes
            ),
            stateless=execution.program.is_stateless,
        )

    def _bound(self) -> str:
        """What was left out on purpose, in words."""
        search, parts = self.reduced, []
        if isinstance(search, Bounded) and search.pruned:
            parts.append(f"at most {many(search.preemptions, 'preemption')}")
        elif not isinstance(self.policy, Reduced) and self.policy.bound:
            parts.append(self.policy.bound)
        if self.cut or (search is not None and search.machine.cut):
            parts.append(f"at most {many(self.limits.depth or 0, 'step')} of each task")
        return ", ".join(parts)

    def progress(self) -> Progress:
        """How far the search has come."""
        search = self.reduced
        return Progress(
            self.schedules,
            time.perf_counter() - self.began,
            estimate(search.frames, search.runs) if search is not None and search.runs else None,
            self.kept.failing,
        )

    def _program(self) -> Program:
        program = self.make_program()
        program.racing = self.racing
        return program

    def _run_all(self, execution: Execution, began: float) -> str:
        """Run until the policy ends or a limit is reached; or return a field that races."""
        if isinstance(self.policy, Reduced):
            return self._run_reduced(execution, self.policy, began)
        if isinstance(self.policy, RandomWalk | Pct) and not execution.failed_setup:
            return self._run_walks(execution, self.policy, began)
        while self.policy.begin():
            finished, cut = run_code(execution, self.policy, self.kept, self.limits.depth)
            self.cut = self.cut or cut
            self._count(steps_of(execution), not finished)
            if self._enough(execution, began):
                return execution.unchecked_race
        return ""

    def _enough(self, execution: Execution, began: float) -> bool:
        if self.on_execution is not None:
            self.on_execution(self, execution)
        if execution.unchecked_race or execution.failed_setup:
            return True
        return self._limit_reached(began)

    def _limit_reached(self, began: float) -> bool:
        """Whether the search ends here, with something left to do."""
        limits = self.limits
        if limits.schedules is not None and self.schedules >= limits.schedules:
            why = after_schedules(limits.schedules)
        elif limits.seconds is not None and time.perf_counter() - began >= limits.seconds:
            why = after_seconds(limits.seconds)
        else:
            return False
        if self.reduced is None or self.reduced.more:
            self.why_incomplete = why
        return bool(self.why_incomplete)

    # ---- one execution

    def _run_reduced(self, execution: Execution, policy: Reduced, began: float) -> str:
        if execution.failed_setup:
            execution.restart()
            self._count(steps_of(execution), False)
            self.kept.everything(execution)
            return ""
        search = self.reduced = policy.begin(execution, self.limits.depth)
        while search.next():
            self._count(search.machine.steps(), search.in_vain)
            if execution.broken or execution.notes:
                self.kept.everything(execution, clocked=True)
            if self._enough(execution, began):
                break
            if self.schedules == WALK_AFTER and self._walk_aside(search.machine, began):
                break
        if not execution.unchecked_race:
            check_histories(search.machine.tries)
        return execution.unchecked_race

    def _walk_aside(self, machine: Machine, began: float) -> bool:
        """A search that goes on for long looks for a first failure: whether it must end."""
        if self.kept.failing:
            return False
        execution, aside = machine.execution, Aside(machine)
        policy = RandomWalk(self.seed)
        while self.walks < WALKS and not execution.unchecked_race:
            walk(machine, policy)
            self.walks += 1
            if execution.broken or execution.notes:
                self.kept.everything(execution, clocked=True, count=0)
            if execution.broken or self._limit_reached(began):
                break
        if execution.unchecked_race:
            return True
        aside.put_back()
        # Whoever looks on can save the search only where it stands as before.
        return bool(self.why_incomplete) and self._enough(execution, began)

    def _run_walks(self, execution: Execution, policy: RandomWalk | Pct, began: float) -> str:
        machine = Machine(execution, self.limits.depth)
        while not self._limit_reached(began):
            walk(machine, policy)
            self._count(machine.steps(), given_up=False)
            self.cut = machine.cut
            if execution.broken or execution.notes:
                self.kept.everything(execution, clocked=True)
            if self._enough(execution, began):
                break
        return execution.unchecked_race

    def _count(self, steps: int, given_up: bool) -> None:
        self.schedules += 1
        self.given_up += given_up
        if steps > self.longest:
            self.longest = steps
