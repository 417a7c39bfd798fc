"""The search: run executions as a policy chooses them, and keep what they find."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pfnlab.engine.errors import BadSchedule
from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.program import Program, Violation
from pfnlab.engine.record import TraceStep
from pfnlab.engine.schedule import follow, join_racing, schedule_of, split_racing
from pfnlab.explorer.policy import Policy, options
from pfnlab.explorer.race import racing_pair
from pfnlab.explorer.result import Finding, Held, Note, Result, Trace
from pfnlab.explorer.shortest import Telling, shortened, whole

Build = Callable[[Any], None]
MakeProgram = Callable[[], Program]


@dataclass(frozen=True)
class Limits:
    """When to stop a search that has not ended.  None means never."""

    schedules: int | None = None
    seconds: float | None = None
    steps: int = STEP_LIMIT  # of one task, after which it is said never to end


@dataclass
class _Candidate:
    """The best tellings so far of one broken rule."""

    short: Telling
    full: Telling
    failing: int = 1


@dataclass
class Search:
    """One search over one program."""

    make_program: MakeProgram
    build: Build
    make_policy: Callable[[], Policy]
    limits: Limits = field(default_factory=Limits)
    on_execution: Callable[["Search", Execution], None] | None = None
    schedules: int = 0
    given_up: int = 0
    failing: int = 0
    longest: int = 0
    why_incomplete: str = ""
    racing: frozenset[str] = frozenset()
    candidates: dict[str, _Candidate] = field(default_factory=dict)
    notes: dict[str, tuple[Telling, tuple[str, ...]]] = field(default_factory=dict)

    def run(self) -> Result:
        """Search to the end, to a limit, or to Ctrl-C; whatever was found is in the result."""
        began = time.perf_counter()
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
                break
            # Only race-free accesses need no scheduling (see step.py): begin anew, with
            # every access to this field a step.  What was found so far will be found again.
            self.racing |= {race}
            self.schedules = self.given_up = self.failing = self.longest = 0
            self.candidates.clear()
        findings = [self._finding(rule) for rule in self.candidates]
        findings.sort(key=lambda finding: (finding.steps, finding.switches, finding.schedule))
        findings += [found for found in self._leftovers(execution) if found is not None]
        return Result(
            findings=tuple(findings),
            schedules=self.schedules,
            given_up=self.given_up,
            failing=self.failing,
            complete=self.policy.complete and not self._why_incomplete(),
            steps=self.longest,
            policy=self.policy.name,
            why_incomplete=self._why_incomplete(),
            seed=self.policy.seed,
            seconds=time.perf_counter() - began,
            notes=tuple(
                Note(
                    rule.rule, self.notes[rule.rule.name][1], self.notes[rule.rule.name][0].schedule
                )
                for rule in execution.program.invariants
                if rule.rule.name in self.notes
            ),
        )

    def _why_incomplete(self) -> str:
        if self.why_incomplete:
            return self.why_incomplete
        return self.policy.bound

    def _program(self) -> Program:
        program = self.make_program()
        program.racing = self.racing
        return program

    def _run_all(self, execution: Execution, began: float) -> str:
        """Run until the policy ends or a limit is reached; or return a field that races."""
        while self.policy.begin():
            self._run_one(execution)
            if self.on_execution is not None:
                self.on_execution(self, execution)
            if execution.unchecked_race:
                return execution.unchecked_race
            if execution.failed_setup or self._limit_reached(began):
                break
        return ""

    def _limit_reached(self, began: float) -> bool:
        limits = self.limits
        if limits.schedules is not None and self.schedules >= limits.schedules:
            many = "schedule" if limits.schedules == 1 else "schedules"
            self.why_incomplete = f"stopped after {limits.schedules} {many}"
        elif limits.seconds is not None and time.perf_counter() - began >= limits.seconds:
            self.why_incomplete = f"stopped after {limits.seconds:g} s"
        return bool(self.why_incomplete)

    def _run_one(self, execution: Execution) -> None:
        execution.restart()
        noted = self._note(execution, 0)
        finished = True
        while True:
            enabled = options(execution)
            if not enabled:
                execution.finish()
                noted = self._note(execution, noted)
                break
            choice = self.policy.choose(execution, enabled)
            if choice is None:
                finished = execution.violation is not None
                break
            execution.fire(execution.program.tasks[choice.task], choice.option)
            noted = self._note(execution, noted)
            self._keep_notes(execution)
        self.policy.end(execution, finished)
        self.schedules += 1
        self.given_up += not finished
        self.longest = max(self.longest, execution.steps)

    def _note(self, execution: Execution, noted: int) -> int:
        """Keep the tellings of new failures, at the moment they happen; count all so far."""
        for broken in execution.broken[noted:]:
            short = shortened(execution, broken)
            if short is not None:
                self._keep(broken.violation.rule, _Candidate(short, whole(execution)))
        if execution.broken and not noted:
            self.failing += 1
        return len(execution.broken)

    def _keep(self, rule: str, new: _Candidate) -> None:
        known = self.candidates.setdefault(rule, new)
        if known is not new:
            known.failing += 1
            known.short = min(known.short, new.short, key=Telling.key)
            known.full = min(known.full, new.full, key=Telling.key)

    def _keep_notes(self, execution: Execution) -> None:
        """The shortest telling of each known exception, taken when it is met."""
        for note in execution.notes:
            if note.event < len(execution.events) - 1:
                continue  # of an earlier step
            told = shortened(execution, note)
            known = self.notes.get(note.violation.rule)
            if told is not None and (known is None or told.key() < known[0].key()):
                self.notes[note.violation.rule] = (told, note.violation.evidence)

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
            and left.rule.name not in self.candidates
            and execution.program.enforces(left.rule)
        ]

    def _finding(self, rule: str) -> Finding:
        """Follow the shortest schedule once more, with its trace."""
        candidate = self.candidates[rule]
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


def replay(
    make_program: MakeProgram, build: Build, schedule: str, step_limit: int = STEP_LIMIT
) -> Finding | None:
    """Follow one schedule and record it; None if no rule breaks.  Raises BadSchedule.

    Schedules joined by ";" are followed one after the other, for rules that only
    several executions break together.
    """
    program = make_program()
    program.racing, schedule = split_racing(schedule)
    execution = Execution(program, build, recording=True, step_limit=step_limit)
    followed: list[str] = []
    steps: list[TraceStep] = []
    try:
        for part in schedule.split(";"):
            follow(execution, part)
            if execution.violation is None and not execution.enabled():
                execution.finish()
            followed.append(schedule_of(execution))
            assert execution.recorder is not None
            steps += _worth_showing(execution.recorder.steps)
        violation = execution.violation or _broken_together(execution)
        if violation is None:
            return None
        return Finding(
            violation=violation,
            schedule=join_racing(program.racing, ";".join(followed)),
            steps=sum(step.number > 0 for step in steps),
            switches=whole(execution).switches,
            trace=_trace(execution, steps),
        )
    finally:
        execution.end()


def _worth_showing(steps: list[TraceStep]) -> list[TraceStep]:
    """The numbered steps; and, where the last one races with it, what others did unseen.

    Of each other task only the newest such access: that is the one it races with.
    """
    last = steps[-1] if steps else None
    newest = {
        step.task: place
        for place, step in enumerate(steps)
        if last is not None
        and not step.number
        and step.word == last.word
        and step.task != last.task
        and (step.writes or last.writes)
    }
    return [s for place, s in enumerate(steps) if s.number or place in newest.values()]


def _broken_together(execution: Execution) -> Violation | None:
    for monitor in execution.program.monitors:
        left = monitor.leftover()
        if left is not None and execution.program.enforces(left.rule):
            return Violation(left.rule.name, left.rule.sentence, left.evidence, "", 0)
    return None


def _trace(execution: Execution, steps: list[TraceStep]) -> Trace:
    recorder = execution.recorder
    assert recorder is not None
    stopped = recorder.stopped
    return Trace(
        steps=tuple(steps),
        tasks=tuple(task.name for task in execution.program.tasks),
        held={
            task: tuple(Held(hold.lock.name, hold.mode, hold.step) for hold in holds)
            for broken in execution.broken[:1]
            for task, holds in broken.held.items()
        },
        call_trace=stopped.frames if stopped is not None else (),
        site=stopped.site if stopped is not None else "",
        race=racing_pair(recorder.steps),
    )
