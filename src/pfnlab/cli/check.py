"""pfnlab check: every interleaving of a scenario on a design, or the matrix of all."""

import json
import os
import re
import shlex
import sys
from itertools import product
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

import pfnlab
from pfnlab.catalogue import (
    NO_DESIGN,
    NotFound,
    NotHere,
    all_designs,
    all_rules,
    all_scenarios,
    check_rule_names,
    explaining,
    find_design,
    find_scenario,
    is_path,
    read_once,
    scenario_groups,
)
from pfnlab.cli.checkpoint import check_overwritten, resumable
from pfnlab.cli.jobs import Where, run_all, tell
from pfnlab.cli.options import AsJson, finite
from pfnlab.cli.output import check_place, write_whole
from pfnlab.cli.runs import Options, Pair, as_given, names_of
from pfnlab.engine.errors import ModelError
from pfnlab.explorer.result import Result
from pfnlab.kernel.profile import find_kernel
from pfnlab.report.broken import summary_text
from pfnlab.report.counterexample import result_text, title_text, verdict_text
from pfnlab.report.data import report_data
from pfnlab.report.layout import many
from pfnlab.report.matrix import column_text, design_text, matrix_text
from pfnlab.report.saved import saved_text
from pfnlab.sources import PACKAGE
from pfnlab.verdict import save as save_counterexample

DesignName = Annotated[str | None, typer.Argument(help="A name, or ./file.py[:name].")]
Policy = Annotated[
    Literal["dpor", "source", "exhaustive", "random", "pct"], typer.Option(help="How to search.")
]
KernelName = Annotated[
    str | None, typer.Option(help="A kernel profile, as v6.9; by default the design's own.")
]
Rules = Annotated[
    list[str] | None, typer.Option(help="Check only this rule, by name or number; repeatable.")
]
MaxSchedules = Annotated[
    int | None, typer.Option(min=1, help="Stop each search after so many schedules.")
]
MaxSeconds = Annotated[
    float | None,
    typer.Option(min=0.0, callback=finite, help="Stop each search after so many seconds."),
]
Preemptions = Annotated[
    int | None, typer.Option(min=0, help="At most so many preemptions in a schedule.")
]
Depth = Annotated[int | None, typer.Option(min=1, help="At most so many steps of each task.")]
Seed = Annotated[int, typer.Option(min=0, help="For the random policies.")]
Jobs = Annotated[
    int | None, typer.Option(min=1, help="Processes; by default one for each CPU that it may use.")
]
Ray = Annotated[
    str | None,
    typer.Option(metavar="ADDRESS", help="Run on the Ray cluster there; 'local' starts one."),
]
CheckpointFile = Annotated[
    Path | None,
    typer.Option(help="Where to keep how far it came; by default in ~/.cache/pfnlab/checkpoints."),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on from the checkpoint of this command, or the last.")
]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Print a line for each scenario.")]
AllFindings = Annotated[
    bool, typer.Option("--all-findings", help="Show every place where a rule broke.")
]
Save = Annotated[
    Path | None, typer.Option(help="Save the shortest counterexample, for pfnlab replay FILE.")
]


@read_once()
def check(
    design: DesignName = None,
    scenario: DesignName = None,
    policy: Policy = "dpor",
    kernel: KernelName = None,
    rule: Rules = None,
    max_schedules: MaxSchedules = None,
    max_seconds: MaxSeconds = None,
    preemptions: Preemptions = None,
    depth: Depth = None,
    seed: Seed = 0,
    jobs: Jobs = None,
    ray: Ray = None,
    checkpoint: CheckpointFile = None,
    resume: Resume = False,
    verbose: Verbose = False,
    as_json: AsJson = False,
    all_findings: AllFindings = False,
    save: Save = None,
) -> int:
    """Run every interleaving, and print the shortest schedule that breaks a rule.

    Without arguments: the matrix of all designs and scenarios.  Exit status: 0 all hold,
    1 a rule broke, 2 wrong use, 3 incomplete.
    """
    designs, scenarios = _chosen(design, scenario)
    check_rule_names(rule or (), scenarios)
    pairs = [(d, s) for d in designs for s in scenarios]
    options = Options(policy, kernel, tuple(rule) if rule else None, max_schedules, max_seconds,
                      preemptions, seed, depth)  # fmt: skip
    if kernel is not None:
        find_kernel(kernel)  # or each check would say that there is none
        if designs == [NO_DESIGN]:
            raise ModelError(f"--kernel {kernel}: {names_of(pairs[0])[1]} has no kernel in it")
    _check_places(save, checkpoint)
    if checkpoint is not None and not resume:
        check_overwritten(checkpoint)
    resumed = None
    if resume:
        whatever = design is None and scenario is None
        pairs, options, resumed = resumable(checkpoint, pairs, options, whatever=whatever)
        tell(f"going on with {what_is_left(pairs, resumed)}")
    where = Where(jobs or len(os.sched_getaffinity(0)), ray, checkpoint, resumed)
    results = run_all(pairs, options, where)
    wrong = {pair: found.error for pair, found in results.items() if found and found.error}
    if len(results) == len(wrong) == 1 and not as_json:
        raise ModelError(*wrong.values())
    if as_json:
        rows = [(*names_of(pair), results[pair]) for pair in pairs]
        print(json.dumps(report_data(pfnlab.__version__, rows), indent=2))
    else:
        print(_text(results, options, all_findings, verbose))
    if save is not None:
        print(_save(save, results, options), file=sys.stderr if as_json else sys.stdout)
    _tell_stateless(results)
    _tell_of_sizes(designs, options.kernel)
    _tell_errors(wrong)
    return exit_status(list(results.values()))


def _tell_stateless(results: dict[Pair, Result | None]) -> None:
    """A scenario that forgets its rules is "ok" on nearly every design."""
    found = {
        scenario
        for (design, scenario), result in results.items()
        if result and result.stateless and design != NO_DESIGN
    }
    for scenario in sorted(found):
        tell(
            f"{find_scenario(scenario).name} has no always(): what functions ask for was checked, "
            "and no rule about the state"
        )


def _tell_of_sizes(designs: list[str], kernel: str | None) -> None:
    """What is checked of a design must be what it would do with real tables."""
    for design in (find_design(spec) for spec in designs if is_path(spec)):
        from pfnlab.cost.repeats import writes_sizes_as_numbers
        from pfnlab.cost.simulate import Setting

        setting = Setting(design, find_kernel(kernel or design.kernel))
        try:
            with explaining(design.files()):
                wrong = writes_sizes_as_numbers(setting)
        except ModelError:  # which the checks tell better
            continue
        if wrong:
            tell(
                f"{design.name} maps larger leaves where tables have 512 entries, and none in a "
                "check, where they have 4: write sizes as PAGE_SIZE << PMD_ORDER, not as 2 * MiB"
            )


def _tell_errors(wrong: dict[Pair, str]) -> None:
    """One line for each class and place of errors, however many checks these have ended.

    In what ships the place says only what a scenario was about to do: the words count there.
    """
    alike: dict[str, list[Pair]] = {}
    for pair, error in wrong.items():
        place = re.match(r"(.*?):\d+: (\w+)", error)
        same = error
        if place is not None:
            ships = Path(place[1]).is_relative_to(PACKAGE)
            same = error[place.start(2) :].partition(" (in ")[0] if ships else place[0]
        alike.setdefault(same, []).append(pair)
    for pairs in alike.values():
        more = f" and {many(len(pairs) - 1, 'more check')}" if len(pairs) > 1 else ""
        tell(f"{title_text(*names_of(pairs[0]))}{more}: {wrong[pairs[0]]}")


def what_is_left(pairs: list[Pair], resumed: dict[str, Any]) -> str:
    """What a checkpoint is of, and how much of that is done."""
    if len(pairs) == 1:
        return as_given(pairs[0])
    over = sum(check["over"] for check in resumed["checks"])
    return f"{len(pairs)} checks, of which {over} {'is' if over == 1 else 'are'} done"


def _check_places(save: Path | None, checkpoint: Path | None) -> None:
    """Raise ModelError, before the search, for files that cannot be."""
    if save is not None and save.suffix != ".json":
        raise ModelError(f"--save {save}: pfnlab replay knows the file by its name, NAME.json")
    for place in (save, checkpoint):
        if place is not None:
            check_place(place)


def exit_status(results: list[Result | None]) -> int:
    """2 if a program was wrong, else 1 if a rule broke, else 3 if a search did not end, else 0.

    After Ctrl-C always 3.
    """
    if any(result is None or result.why_incomplete == "interrupted" for result in results):
        return 3
    verdicts = {result.verdict for result in results if result is not None}
    if "error" in verdicts:
        return 2
    return 1 if "FAIL" in verdicts else 3 if "incomplete" in verdicts else 0


def _save(path: Path, results: dict[Pair, Result | None], options: Options) -> str:
    """Save the shortest counterexample of all; returns what to say about it."""
    found = [
        (result.findings[0], pair)
        for pair, result in results.items()
        if result is not None and result.findings
    ]
    if not found:
        return f"No rule broke: {path} was not written."
    finding, pair = min(found, key=lambda item: (item[0].steps, item[0].switches))
    saved = save_counterexample(
        pfnlab.__version__, *pair, finding, kernel=options.kernel, rules=options.rules
    )
    write_whole(path, saved_text(saved))
    which = title_text(saved.design.name, saved.scenario.name) if len(results) > 1 else "Saved"
    return f"{which}: pfnlab replay {shlex.quote(str(path))}"


def _chosen(design: str | None, scenario: str | None) -> tuple[list[str], list[str]]:
    """The designs and scenarios to check; a single name may also be that of a scenario.

    A program without a kernel has no design.
    """
    designs, scenarios = list(all_designs()), list(all_scenarios())
    if design is not None and scenario is None and design in scenarios:
        return designs, [design]
    if design is not None:
        try:
            find_design(design)
        except NotFound as no_design:
            if scenario in designs and design in scenarios:
                raise NotFound(f"the design comes first: {scenario} {design}") from None
            if scenario in scenarios and design in scenarios:
                raise NotFound(
                    f"{design} and {scenario} are scenarios: give one, or a design and one"
                ) from None
            if scenario is not None or not is_path(design):
                raise
            try:
                alone = find_scenario(design)
            except NotHere:
                raise no_design from None
            except NotFound as no_scenario:
                raise (no_scenario if isinstance(no_design, NotHere) else no_design) from None
            return [NO_DESIGN] if alone.is_plain else designs, [design]
        designs = [design]
    if scenario is not None:
        find_scenario(scenario)
        scenarios = [scenario]
    return designs, scenarios


def _text(
    results: dict[Pair, Result | None], options: Options, all_findings: bool, verbose: bool
) -> str:
    """One result whole, a line for each, or the results of groups of scenarios."""
    if len(results) == 1 or all_findings:
        return "\n\n".join(
            _whole(pair, result, options, all_findings) for pair, result in results.items()
        )
    if verbose:
        lines = [_line(pair, result, options) for pair, result in results.items()]
        text = "\n".join([*lines, "", summary_text(results.values())])
    else:
        text = _short(results)
    for (design, scenario), result in results.items():
        if result is not None and result.findings:
            again = shlex.join(["pfnlab", "check", design, scenario, *options.flags()])
            return f"{text}\nSee one: {again}"
    return text


def _short(results: dict[Pair, Result | None]) -> str:
    designs = list(dict.fromkeys(design for design, _scenario in results))
    scenarios = list(dict.fromkeys(scenario for _design, scenario in results))
    rows = [find_design(spec).name for spec in designs]
    columns = [find_scenario(spec).name for spec in scenarios]
    cells = dict(zip(product(rows, columns), results.values(), strict=True))
    rules = all_rules()
    if len(scenarios) == 1:
        return column_text(rows, columns[0], cells, rules)
    if len(designs) == 1:
        own = {scenario: result for (_design, scenario), result in cells.items()}
        return design_text(rows[0], scenario_groups(), own, rules)
    return matrix_text(rows, scenario_groups(), cells, rules)


def _whole(pair: Pair, result: Result | None, options: Options, all_findings: bool) -> str:
    design, scenario = names_of(pair)
    if result is None:
        return f"{title_text(design, scenario)}: not run"
    return result_text(
        result, scenario, design, specs=pair, flags=options.flags(), all_findings=all_findings
    )


def _line(pair: Pair, result: Result | None, options: Options) -> str:
    if result is None:
        return _whole(pair, result, options, False)
    return verdict_text(result, title_text(*names_of(pair)))
