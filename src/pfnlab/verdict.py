"""The Python interface: a scenario, a design, a verdict."""

import inspect
from collections.abc import Callable, Iterable
from pathlib import Path

from pfnlab.catalogue import (
    NO_DESIGN,
    NotFound,
    all_rules,
    explaining,
    find_pair,
    near_rule,
)
from pfnlab.engine.execution import STEP_LIMIT, Execution
from pfnlab.engine.program import Invariant, Program, Rule, Scenario
from pfnlab.errors import ModelError
from pfnlab.explorer import search
from pfnlab.explorer.determinism import check_determinism
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.follow import Followed
from pfnlab.explorer.follow import follow_saved as follow_steps
from pfnlab.explorer.policy import Policy
from pfnlab.explorer.replay import replay as follow_again
from pfnlab.explorer.result import Finding, Result
from pfnlab.explorer.saved import Saved, Source, steps_of
from pfnlab.explorer.search import Reduced
from pfnlab.explorer.walk import Pct, RandomWalk
from pfnlab.kernel.design import Design
from pfnlab.kernel.lab import Lab
from pfnlab.kernel.profile import find_kernel
from pfnlab.kernel.rule import LeafRule
from pfnlab.report.counterexample import result_text
from pfnlab.sources import hash_of, own_files

POLICIES = ("dpor", "source", "exhaustive", "random", "pct")
RANDOM_SCHEDULES = 1_000  # of a random policy, if no limit is given

Progress = Callable[[search.Search, Execution], None]


class Counterexample(AssertionError):
    """A rule broke.  `result` has the data; the text is what `pfnlab check` prints."""

    def __init__(self, result: Result, text: str) -> None:
        super().__init__(text)
        self.result = result


class Incomplete(AssertionError):
    """The search ended before it had covered everything, and found nothing."""

    def __init__(self, result: Result, text: str) -> None:
        super().__init__(text)
        self.result = result


def explore(
    scenario: Scenario,
    design: Design | None = None,
    *,
    policy: str = "dpor",
    kernel: str | None = None,
    rules: Iterable[str] | None = None,
    max_schedules: int | None = None,
    max_seconds: float | None = None,
    preemptions: int | None = None,
    depth: int | None = None,
    seed: int = 0,
    step_limit: int = STEP_LIMIT,
    progress: Progress | None = None,
) -> Result:
    """Run a scenario in every interleaving, and return what was found.

    Without a design the scenario gets a plain Program: engine objects alone, no kernel.
    `kernel` names a profile ("v6.9"); by default it is that of the design.  `rules` names
    those that are checked, by name or number; the others may break.
    Raises ModelError if the scenario or design misuses the model.
    """
    rules = check_arguments(scenario, design, rules)
    _check_numbers(
        max_schedules=(max_schedules, 1), max_seconds=(max_seconds, 0),
        preemptions=(preemptions, 0), depth=(depth, 1), step_limit=(step_limit, 1),
    )  # fmt: skip
    chosen = make_policy(policy, seed, preemptions)
    if isinstance(chosen, RandomWalk | Pct) and max_schedules is None and max_seconds is None:
        max_schedules = RANDOM_SCHEDULES
    limits = search.Limits(max_schedules, max_seconds, step_limit, depth)
    make = program_maker(design, rules, kernel)
    with explaining(source_files(scenario, design)):
        check_determinism(make, scenario, step_limit)
        result = search.Search(
            make, scenario, lambda: make_policy(policy, seed, preemptions), limits, progress, seed
        ).run()
    return result


def check_arguments(
    scenario: Scenario, design: Design | None, rules: Iterable[str] | None
) -> list[str] | None:
    """The rules; raises ModelError for what explore() and replay() cannot work with."""
    if not isinstance(scenario, Scenario):
        hint = "; a design comes second" if isinstance(scenario, Design) else ""
        raise ModelError(
            f"{shown(scenario)} is no scenario{hint or '; find_scenario() finds one by its name'}"
        )
    if not isinstance(design, Design | None):
        raise ModelError(f"{shown(design)} is no design; find_design() finds one by its name")
    if isinstance(rules, str):
        raise ModelError(f"rules is a list of names or numbers, as [{rules!r}]")
    if rules is None:
        return None
    wanted = list(rules)
    if not wanted:
        raise ModelError("rules is empty, so nothing would be checked; leave it out to check all")
    with explaining(source_files(scenario, design)):
        _check_rules(wanted, scenario, design)
    return wanted


def shown(thing: object) -> str:
    """A wrong argument in a few words."""
    if isinstance(thing, Design | Scenario):
        return f"{type(thing).__name__.lower()} {thing.name}"
    return repr(thing)


def _check_rules(wanted: list[str], scenario: Scenario, design: Design | None) -> None:
    """A rule may ship with pfnlab, be in the file of the scenario, or be made by it."""
    execution = Execution(program_maker(design, None)(), scenario)
    execution.end()
    program = execution.program
    things = [*inspect.unwrap(scenario.build).__globals__.values(), *program.invariants]
    things += program.leaf_rules if isinstance(program, Lab) else []
    theirs = [each.rule if isinstance(each, Invariant | LeafRule) else each for each in things]
    found = [*all_rules().values(), *(each for each in theirs if isinstance(each, Rule))]
    known = {each.name for each in found} | {each.number for each in found if each.number}
    for name in wanted:
        if name not in known:
            near = near_rule(str(name), known)
            hint = f"did you mean {near!r}? " if near else ""
            raise NotFound(f"no rule is called {name!r}; {hint}docs/rules.md has them all")


def _check_numbers(**given: tuple[float | None, int]) -> None:
    for name, (value, least) in given.items():
        number = isinstance(value, int if name != "max_seconds" else int | float)
        if value is not None and not (number and value >= least):
            what = "a number" if name == "max_seconds" else "a whole number"
            raise ModelError(f"{name} must be {what} from {least} on, not {value!r}")


def check(scenario: Scenario, design: Design | None = None, **options: object) -> Result:
    """As explore(), but raise Counterexample if a rule breaks, Incomplete if unfinished."""
    result = explore(scenario, design, **options)  # type: ignore[arg-type]  # the same options
    text = result_text(result, scenario.name, design.name if design is not None else "")
    if result.findings:
        raise Counterexample(result, text)
    if not result.complete:
        raise Incomplete(result, text)
    return result


def replay(
    scenario: Scenario,
    design: Design | None,
    schedule: str,
    *,
    kernel: str | None = None,
    rules: Iterable[str] | None = None,
    step_limit: int = STEP_LIMIT,
) -> Finding | None:
    """Follow one schedule; None if no rule breaks.  Raises BadSchedule if it does not fit.

    An error of a task's code is told like a rule that breaks: Finding.is_error.
    """
    rules = check_arguments(scenario, design, rules)
    if not isinstance(schedule, str):
        raise ModelError(f"schedule is a text, as Result.schedule, not {schedule!r}")
    make = program_maker(design, rules, kernel)
    with explaining(source_files(scenario, design)):
        finding = follow_again(make, scenario, schedule, step_limit)
    return finding


def save(
    version: str,
    design: str,
    scenario: str,
    finding: Finding,
    *,
    kernel: str | None = None,
    rules: tuple[str, ...] | None = None,
) -> Saved:
    """A finding as a counterexample to keep; design and scenario are named as for a command."""
    a_design, a_scenario = find_pair(design, scenario)
    runs = steps_of(program_maker(a_design, rules, kernel), a_scenario, finding.schedule)
    return Saved(
        version, *sources_of(design, scenario), kernel, rules,
        finding.violation.rule, finding.schedule, runs,
    )  # fmt: skip


def follow_saved(saved: Saved) -> tuple[Followed, tuple[str, ...]]:
    """Follow a saved counterexample; what came of it, and the names of what has changed since."""
    design, scenario = find_pair(saved.design.spec, saved.scenario.spec)
    now = sources_of(saved.design.spec, saved.scenario.spec)
    pairs = zip((saved.design, saved.scenario), now, strict=True)
    changed = tuple(known.name for known, its in pairs if known.hash != its.hash)
    with explaining(source_files(scenario, design)):
        followed = follow_steps(program_maker(design, saved.rules, saved.kernel), scenario, saved)
    return followed, changed


def sources_of(design: str, scenario: str) -> tuple[Source, Source]:
    """What a design and a scenario are now, to tell later whether they have changed."""
    a_design, a_scenario = find_pair(design, scenario)
    files = a_design.files() if a_design else set(), {a_scenario.build.__code__.co_filename}
    hashes = [
        hash_of({*(Path(file).resolve() for file in code), *own_files(spec)})
        for code, spec in zip(files, (design, scenario), strict=True)
    ]
    return (
        Source(a_design.name if a_design else NO_DESIGN, design, hashes[0]),
        Source(a_scenario.name, scenario, hashes[1]),
    )


def make_policy(name: str, seed: int = 0, preemptions: int | None = None) -> Policy | Reduced:
    """A new policy by name.  With a bound on preemptions there is no reduction.

    Raises ModelError for a policy that draws schedules and has no such bound.
    """
    if preemptions is not None and name in ("random", "pct"):
        raise ModelError(f"policy {name} draws schedules, and has no bound on their preemptions")
    match name:
        case "exhaustive":
            return Exhaustive(preemptions)
        case "dpor" | "source" if preemptions is not None:
            return Reduced(preemptions=preemptions)
        case "dpor":
            return Reduced()
        case "source":
            return Reduced(optimal=False)
        case "random":
            return RandomWalk(seed)
        case "pct":
            return Pct(seed)
    raise ModelError(f"no policy is called {name!r}; there are {', '.join(POLICIES)}")


def program_maker(
    design: Design | None, rules: Iterable[str] | None, kernel: str | None = None
) -> Callable[[], Program]:
    enforced = frozenset(rules) if rules is not None else None
    profile = find_kernel(kernel) if kernel is not None else None

    def make() -> Program:
        program = Lab(design, profile) if design is not None else Program()
        program.enforced = enforced
        return program

    return make


def source_files(scenario: Scenario, design: Design | None) -> set[str]:
    """Where the user's own code is, to name the right line of an error."""
    files = design.files() if design is not None else set()
    return files | {scenario.build.__code__.co_filename}
