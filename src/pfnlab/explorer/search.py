"""The search: run executions as a policy chooses them, and keep what they find."""

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from pfnlab.engine.errors import BadSchedule
from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.program import Program
from pfnlab.engine.schedule import join_racing
from pfnlab.explorer.determinism import check_histories
from pfnlab.explorer.keep import Kept
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.policy import Policy, options
from pfnlab.explorer.replay import Build, MakeProgram, replay
from pfnlab.explorer.result import Finding, Note, Result


@dataclass(frozen=True)
class Limits:
    """When to stop a search that has not ended.  None means never."""

    schedules: int | None = None
    seconds: float | None = None
    steps: int = STEP_LIMIT  # of one task, after which it is said never to end


@dataclass(frozen=True)
class Reduced:
    """Search up to independence, by Optimal-DPOR or, as a second opinion, Source-DPOR."""

    optimal: bool = True

    @property
    def name(self) -> str:
        return "dpor" if self.optimal else "source"


@dataclass
class Search:
    """One search over one program."""

    make_program: MakeProgram
    build: Build
    make_policy: Callable[[], "Policy | Reduced"]
    limits: Limits = field(default_factory=Limits)
    on_execution: Callable[["Search", Execution], None] | None = None
    schedules: int = 0
    given_up: int = 0
    longest: int = 0
    why_incomplete: str = ""
    racing: frozenset[str] = frozenset()
    kept: Kept = field(default_factory=Kept)
    reduced: Optimal | None = None  # while it runs

    def run(self) -> Result:
        """Search to the end, to a limit, or to Ctrl-C; whatever was found is in the result."""
        began = time.perf_counter()
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
            finally:
                execution.end()
            if not race:
                return execution
            # Only race-free accesses need no scheduling (see step.py): begin anew, with
            # every access to this field a step.  What was found so far will be found again.
            self.racing |= {race}
            self.schedules = self.given_up = self.longest = 0
            self.kept = Kept()

    def result(self, execution: Execution, began: float) -> Result:
        findings = [self._finding(rule) for rule in self.kept.candidates]
        findings.sort(key=lambda finding: (finding.steps, finding.switches, finding.schedule))
        findings += [found for found in self._leftovers(execution) if found is not None]
        bounded = isinstance(self.policy, Reduced)
        bound = "" if isinstance(self.policy, Reduced) else self.policy.bound
        complete = bounded or (not isinstance(self.policy, Reduced) and self.policy.complete)
        notes = self.kept.notes
        return Result(
            findings=tuple(findings),
            schedules=self.schedules,
            given_up=self.given_up,
            failing=self.kept.failing,
            complete=complete and not (self.why_incomplete or bound),
            steps=self.longest,
            policy=self.policy.name,
            why_incomplete=self.why_incomplete or bound,
            seed=None if isinstance(self.policy, Reduced) else self.policy.seed,
            seconds=time.perf_counter() - began,
            notes=tuple(
                Note(rule.rule, notes[rule.rule.name][1], notes[rule.rule.name][0].schedule)
                for rule in execution.program.invariants
                if rule.rule.name in notes
            ),
        )

    def _program(self) -> Program:
        program = self.make_program()
        program.racing = self.racing
        return program

    def _run_all(self, execution: Execution, began: float) -> str:
        """Run until the policy ends or a limit is reached; or return a field that races."""
        if isinstance(self.policy, Reduced):
            return self._run_reduced(execution, self.policy, began)
        while self.policy.begin():
            self._run_one(execution, self.policy)
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
        limits = self.limits
        if limits.schedules is not None and self.schedules >= limits.schedules:
            many = "schedule" if limits.schedules == 1 else "schedules"
            self.why_incomplete = f"stopped after {limits.schedules} {many}"
        elif limits.seconds is not None and time.perf_counter() - began >= limits.seconds:
            self.why_incomplete = f"stopped after {limits.seconds:g} s"
        return bool(self.why_incomplete)

    # ---- one execution

    def _run_reduced(self, execution: Execution, policy: Reduced, began: float) -> str:
        if execution.failed_setup:
            execution.restart()
            self._count(execution, False)
            self.kept.everything(execution)
            return ""
        search = self.reduced = Optimal(execution, optimal=policy.optimal)
        while search.next():
            self._count(execution, search.in_vain)
            if execution.broken or execution.notes:
                self.kept.everything(execution, clocked=True)
            if self._enough(execution, began):
                break
        if not execution.unchecked_race:
            check_histories(search.machine.tries)
        return execution.unchecked_race

    def _count(self, execution: Execution, given_up: bool) -> None:
        self.schedules += 1
        self.given_up += given_up
        self.longest = max(self.longest, sum(event.steps for event in execution.events))

    def _run_one(self, execution: Execution, policy: Policy) -> None:
        """An execution in which the code of tasks runs."""
        execution.restart()
        noted = self._keep_new(execution, 0)
        finished = True
        while True:
            enabled = options(execution)
            if not enabled:
                execution.finish()
                noted = self._keep_new(execution, noted)
                break
            choice = policy.choose(execution, enabled)
            if choice is None:
                finished = execution.violation is not None
                break
            execution.fire(execution.program.tasks[choice.task], choice.option)
            noted = self._keep_new(execution, noted)
            for note in execution.notes:
                if note.event == len(execution.events) - 1:
                    self.kept.note(execution, note)
        policy.end(execution, finished)
        self._count(execution, not finished)

    def _keep_new(self, execution: Execution, noted: int) -> int:
        """Keep new failures at the moment they happen; count all so far."""
        for broken in execution.broken[noted:]:
            self.kept.failure(execution, broken)
        if execution.broken and not noted:
            self.kept.failing += 1
        return len(execution.broken)

    # ---- what was found

    def _leftovers(self, execution: Execution) -> list[Finding | None]:
        """Rules that executions have only broken together."""
        found = [monitor.leftover() for monitor in execution.program.monitors]
        return [
            replay(
                self.make_program,
                self.build,
                join_racing(self.racing, ";".join(left.schedules)),
                self.limits.steps,
            )
            for left in found
            if left is not None
            and left.rule.name not in self.kept.candidates
            and execution.program.enforces(left.rule)
        ]

    def _finding(self, rule: str) -> Finding:
        """Follow the shortest schedule once more, with its trace."""
        candidate = self.kept.candidates[rule]
        for telling in (candidate.short, candidate.full):
            schedule = join_racing(self.racing, telling.schedule)
            try:
                finding = replay(self.make_program, self.build, schedule, self.limits.steps)
            except BadSchedule:
                continue
            if finding is not None and finding.violation.rule == rule:
                break
        else:
            raise AssertionError(f"{candidate.full.schedule} does not break {rule} again")
        return Finding(
            finding.violation, finding.schedule, finding.steps, telling.switches,
            finding.trace, candidate.failing,
        )  # fmt: skip
