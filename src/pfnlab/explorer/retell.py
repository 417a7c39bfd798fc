"""What a search has kept, followed once more with its trace."""

from dataclasses import dataclass

from pfnlab.engine.errors import BadSchedule, Nondeterminism
from pfnlab.engine.execution import Execution
from pfnlab.engine.schedule import join_racing
from pfnlab.explorer.distinct import distinct
from pfnlab.explorer.keep import Candidate, Kept
from pfnlab.explorer.replay import Build, MakeProgram, replay
from pfnlab.explorer.result import Finding


@dataclass(frozen=True)
class Retelling:
    """Of one program.  `racing` are the fields whose every access is a step."""

    make_program: MakeProgram
    build: Build
    racing: frozenset[str]
    step_limit: int

    def findings(self, kept: Kept, execution: Execution) -> list[Finding]:
        """The shortest of each place where a rule broke, and what only executions together broke.

        `execution` is of the program whose monitors have heard all of them.
        """
        found = distinct([self.finding(candidate) for candidate in kept.candidates.values()])
        return found + self._leftovers(kept, execution)

    def finding(self, candidate: Candidate) -> Finding:
        """Follow the shortest schedule once more."""
        rule = candidate.rule
        for telling in (candidate.short, candidate.full):
            finding = self._breaking(telling.schedule, rule)
            if finding is not None:
                break
            hasty = self._breaking(telling.schedule, rule, late=False)
            if hasty is not None:
                raise Nondeterminism(
                    f"hidden nondeterminism: {telling.schedule} breaks {rule} only if the code of "
                    "all tasks begins before the first step; all shared state must be in fields",
                    hasty.trace.site,
                )
        else:
            raise Nondeterminism(
                f"{candidate.full.schedule} broke {rule} in the search, and does not when it is "
                "followed again: hidden nondeterminism, or an error of pfnlab itself"
            )
        return Finding(
            finding.violation, finding.schedule, finding.steps, telling.switches,
            finding.trace, candidate.failing,
        )  # fmt: skip

    def _breaking(self, schedule: str, rule: str, *, late: bool = True) -> Finding | None:
        try:
            finding = self._again(schedule, late=late)
        except BadSchedule:
            return None
        return finding if finding is not None and finding.violation.rule == rule else None

    def _leftovers(self, kept: Kept, execution: Execution) -> list[Finding]:
        """Rules that executions have only broken together."""
        left = [monitor.leftover() for monitor in execution.program.monitors]
        found = [
            self._again(";".join(each.schedules))
            for each in left
            if each is not None
            and each.rule.name not in kept.rules()
            and execution.program.enforces(each.rule)
        ]
        return [finding for finding in found if finding is not None]

    def _again(self, schedule: str, *, late: bool = True) -> Finding | None:
        schedule = join_racing(self.racing, schedule)
        return replay(self.make_program, self.build, schedule, self.step_limit, late=late)
