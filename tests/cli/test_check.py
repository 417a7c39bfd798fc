"""pfnlab check: verdicts, exit statuses, options."""

import importlib
import json
import os
from pathlib import Path

import pytest

from pfnlab.catalogue import all_designs, all_scenarios, scenario_groups
from pfnlab.cli import board, jobs, runs
from pfnlab.cli.jobs import Where
from pfnlab.cli.runs import Options, Pair
from pfnlab.explorer.result import Result
from tests.cli.command import Command

POLLING = '''
"""A fault that never ends, and a rule of its own."""

from dataclasses import replace

from pfnlab import invariant, scenario
from pfnlab.designs.huge_fault import design
from pfnlab.kernel import *
from pfnlab.scenarios.faults import first_fault


def page_fault(vmf):
    return VM_FAULT_NOPAGE


says_nopage = replace(design, name="says_nopage", vm_ops=VmOperations(fault=page_fault))


@invariant
def no_leaf_at_all(lab):
    """There is a leaf."""
    for vdev in lab.devices:
        yield from lab.leaves_of(vdev)


@scenario
def a_fault(lab):
    """One vCPU touches a fresh mapping, and may not map it."""
    mapping = lab.mmap(lab.vfio_device())

    @lab.task
    def vcpu():
        lab.touch(mapping)

    lab.always(no_leaf_at_all)
'''


@pytest.fixture
def mine(tmp_path: Path) -> str:
    """A file with a design and a scenario of the user's."""
    path = tmp_path / "mine.py"
    path.write_text(POLLING, encoding="utf-8")
    return str(path)


def test_a_design_that_holds_is_one_line_and_status_0(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", "zap_vs_fault")

    assert ran.status == 0
    assert ran.out.startswith("zap_vs_fault on huge_fault: ok, every interleaving (")
    assert ran.out.count("\n") == 1
    assert ran.err == ""


def test_a_broken_rule_is_a_counterexample_and_status_1(pfnlab: Command) -> None:
    ran = pfnlab("check", "remap_on_fault", "first_fault")

    assert ran.status == 1
    assert ran.out.startswith("first_fault on remap_on_fault: FAIL  mmap_assert_write_locked\n")
    assert ran.out.endswith("Replay: pfnlab replay remap_on_fault first_fault vcpu:13\n")


def test_a_search_cut_short_is_incomplete_and_status_3(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", "zap_vs_fault", "--max-schedules", "1")

    assert ran.status == 3
    assert ran.out == (
        "zap_vs_fault on huge_fault: INCOMPLETE, 1 schedule without a failure (the limit)\n"
    )


def test_a_search_out_of_time_is_incomplete_and_status_3(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", "zap_vs_fault", "--max-seconds", "0")

    assert ran.status == 3
    assert "(stopped after 0 s)" in ran.out


def test_a_failure_counts_more_than_an_unfinished_search(pfnlab: Command) -> None:
    ran = pfnlab("check", "zap_vs_fault", "--max-schedules", "1")

    assert ran.status == 1
    assert "?" in ran.out


@pytest.mark.slow
@pytest.mark.usefixtures("ran_before")
def test_the_matrix_names_the_rule_that_each_design_breaks(pfnlab: Command) -> None:
    ran = pfnlab("check")

    assert ran.status == 1
    rows = [line.split() for line in ran.out.splitlines()]
    sizes = [str(len(names)) for names in scenario_groups().values()]
    held = [cell for row in rows if row[:1] == ["huge_fault"] for cell in row[1:]]
    broken = [cell for row in rows if row[:1] == ["remap_on_fault"] for cell in row[1:]]
    assert held == ["ok"] * len(sizes)
    assert {cell for cell in broken if not cell.isdigit()} == {"ok", "R3"}
    # No fault with memory on: two scenarios of dma-bufs, interrupts_vs_fault, mapping_that_grows.
    assert sum(int(cell) for cell in broken if cell.isdigit()) == len(all_scenarios()) - 4
    assert "\nR3    mmap_assert_write_locked: vm_flags may change only with " in ran.out
    assert ran.out.endswith("See one: pfnlab check remap_on_fault first_fault\n")


@pytest.mark.slow
@pytest.mark.usefixtures("ran_before")
def test_one_design_is_one_line_for_each_group_that_fails_alike(pfnlab: Command) -> None:
    ran = pfnlab("check", "remap_on_fault")

    assert ran.status == 1
    assert ran.err == ""
    lines = ran.out.splitlines()
    groups = scenario_groups()
    assert lines[0] == "remap_on_fault"
    rows = {line.split()[0]: line for line in lines[1:] if line[:2] == "  " and line[2] != " "}
    assert list(rows) == list(groups)
    # No fault with memory on: the scenarios of dma-bufs, and interrupts_vs_fault.
    assert "ok, every interleaving" in rows["dma_bufs"]
    assert all(" FAIL " in line for group, line in rows.items() if group != "dma_bufs")
    assert lines[-1] == "See one: pfnlab check remap_on_fault first_fault"


@pytest.mark.slow
@pytest.mark.usefixtures("ran_before")
@pytest.mark.parametrize("option", ["--verbose", "-v"])
def test_with_verbose_every_scenario_has_its_line(pfnlab: Command, option: str) -> None:
    ran = pfnlab("check", "remap_on_fault", option)

    lines = ran.out.splitlines()
    assert lines[0] == "first_fault on remap_on_fault: FAIL  mmap_assert_write_locked"
    assert [line.split()[0] for line in lines[: len(all_scenarios())]] == list(all_scenarios())
    assert lines[-1] == "See one: pfnlab check remap_on_fault first_fault"


def test_verbose_changes_nothing_about_a_single_check(pfnlab: Command) -> None:
    arguments = ["check", "remap_on_fault", "first_fault"]

    assert pfnlab(*arguments, "-v").out == pfnlab(*arguments).out


def test_the_name_of_a_scenario_alone_runs_it_on_every_design(pfnlab: Command) -> None:
    ran = pfnlab("check", "first_fault")

    assert ran.status == 1
    assert ran.out.splitlines()[0].split() == ["design", "first_fault"]
    assert f"{len(all_designs())} checks" in ran.out


@pytest.mark.slow
@pytest.mark.parametrize("policy", ["dpor", "exhaustive"])
def test_a_complete_policy_proves_that_a_design_holds(pfnlab: Command, policy: str) -> None:
    ran = pfnlab("check", "huge_fault", "zap_vs_fault", "--policy", policy)

    assert ran.status == 0


@pytest.mark.parametrize("policy", ["random", "pct"])
def test_a_random_policy_proves_nothing(pfnlab: Command, policy: str) -> None:
    ran = pfnlab(
        "check", "huge_fault", "zap_vs_fault", "--policy", policy, "--max-schedules", "50",
        "--seed", "7",
    )  # fmt: skip

    assert ran.status == 3
    assert ran.out == (
        "zap_vs_fault on huge_fault: INCOMPLETE, 50 schedules without a failure "
        "(the limit, seed 7)\n"
    )


@pytest.mark.parametrize("policy", ["dpor", "exhaustive", "random", "pct"])
def test_every_policy_finds_the_splat(pfnlab: Command, policy: str) -> None:
    ran = pfnlab(
        "check", "remap_on_fault", "first_fault", "--policy", policy, "--max-schedules", "5"
    )

    assert ran.status == 1
    assert ran.out.endswith("Replay: pfnlab replay remap_on_fault first_fault vcpu:13\n")


def test_a_bound_on_preemptions_is_named_as_the_reason(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", "zap_vs_fault", "--preemptions", "0")

    assert ran.status == 3
    assert "(at most 0 preemptions)" in ran.out


@pytest.mark.parametrize("rule", ["mmap_assert_write_locked", "R3"])
def test_only_the_rule_that_is_named_is_checked(pfnlab: Command, rule: str) -> None:
    assert pfnlab("check", "remap_on_fault", "first_fault", "--rule", rule).status == 1
    assert pfnlab("check", "huge_fault", "first_fault", "--rule", rule).status == 0


def test_a_rule_that_is_not_named_is_not_checked(pfnlab: Command) -> None:
    ran = pfnlab("check", "remap_on_fault", "first_fault", "--rule", "D1", "--rule", "L2")

    assert ran.status == 0


@pytest.mark.slow
def test_two_processes_say_the_same_as_one(pfnlab: Command) -> None:
    def verdicts(jobs: str) -> list[tuple[object, ...]]:
        data = json.loads(pfnlab("check", "two_faults", "--json", "--jobs", jobs).out)
        return [
            (r["design"], r["scenario"], r["verdict"], r["schedules"], r["steps"], r["failing"])
            for r in data["results"]
        ]

    assert verdicts("2") == verdicts("1")
    assert len(verdicts("1")) == len(all_designs())


def test_every_cpu_is_used_unless_jobs_says_otherwise(
    pfnlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    used: list[int] = []

    def run(pairs: list[Pair], _options: Options, where: Where) -> dict[Pair, Result | None]:
        used.append(where.jobs)
        return dict.fromkeys(pairs)

    monkeypatch.setattr(importlib.import_module("pfnlab.cli.check"), "run_all", run)

    assert pfnlab("check").status == 3
    assert pfnlab("check", "--jobs", "3").status == 3
    assert used == [len(os.sched_getaffinity(0)), 3]


def test_a_file_may_import_what_it_is_made_of(pfnlab: Command, mine: str) -> None:
    ran = pfnlab("check", mine, "first_fault", "--rule", "L1")

    assert ran.status == 1
    assert ran.out.startswith("first_fault on says_nopage: FAIL  no_livelock\n")


def test_a_scenario_of_ones_own_brings_its_own_rules(pfnlab: Command, mine: str) -> None:
    ran = pfnlab("check", "huge_fault", mine, "--rule", "no_leaf_at_all")

    assert ran.status == 1
    assert ran.out.startswith("a_fault on huge_fault: FAIL  no_leaf_at_all\n\n  There is a leaf.\n")
    assert f"Replay: pfnlab replay huge_fault {mine} vcpu:" in ran.out


def test_a_file_is_taken_by_the_name_behind_its_colon(pfnlab: Command, mine: str) -> None:
    assert pfnlab("check", f"{mine}:says_nopage", "first_fault").status == 1
    assert pfnlab("check", "huge_fault", f"{mine}:a_fault").status == 1


def test_all_findings_shows_every_broken_rule_with_its_replay(pfnlab: Command) -> None:
    ran = pfnlab("check", "remap_on_fault", "zap_vs_fault", "--all-findings")

    assert ran.status == 1
    assert ran.out.count("FAIL  ") == ran.out.count("  Replay: pfnlab replay ") >= 1


JSON_FIELDS = {
    "design", "scenario", "verdict", "complete", "why_incomplete", "error", "schedules", "given_up",
    "failing", "steps", "policy", "seed", "seconds", "findings", "notes", "walks", "fell_back",
}  # fmt: skip


def test_json_has_every_field_for_a_design_that_holds(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", "first_fault", "--json")

    data = json.loads(ran.out)
    (result,) = data["results"]
    assert ran.status == 0
    assert set(data) == {"schema", "pfnlab", "results"}
    assert data["schema"] == 1
    assert set(result) == JSON_FIELDS
    assert (result["verdict"], result["complete"], result["findings"]) == ("ok", True, [])
    assert (result["policy"], result["seed"], result["schedules"]) == ("dpor", None, 1)


def test_json_has_the_whole_counterexample(pfnlab: Command) -> None:
    ran = pfnlab("check", "remap_on_fault", "first_fault", "--json")

    (result,) = json.loads(ran.out)["results"]
    (finding,) = result["findings"]
    assert ran.status == 1
    assert result["verdict"] == "FAIL"
    assert finding["rule"] == "mmap_assert_write_locked"
    assert finding["evidence"] == ["vcpu holds it for read since step 6."]
    assert (finding["schedule"], finding["steps"], finding["switches"]) == ("vcpu:13", 13, 0)
    trace = finding["trace"]
    assert set(trace) == {"steps", "held", "call_trace", "race"}
    assert [step["step"] for step in trace["steps"]] == list(range(1, 14))
    assert trace["held"]["vcpu"][0] == {"lock": "mm.mmap_lock", "mode": "read", "step": 6}
    assert "vm_flags_set" in [frame["function"] for frame in trace["call_trace"]]
    assert trace["race"] is None


@pytest.mark.slow
@pytest.mark.usefixtures("ran_before")
def test_json_of_the_matrix_has_one_result_for_each_pair(pfnlab: Command) -> None:
    ran = pfnlab("check", "--json")

    pairs = [(r["design"], r["scenario"]) for r in json.loads(ran.out)["results"]]
    assert len(pairs) == len(set(pairs)) == len(all_designs()) * len(all_scenarios())


def test_json_says_why_a_search_is_incomplete(pfnlab: Command) -> None:
    ran = pfnlab("check", "huge_fault", "zap_vs_fault", "--policy", "random", "--seed", "3",
                 "--max-schedules", "2", "--json")  # fmt: skip

    (result,) = json.loads(ran.out)["results"]
    assert ran.status == 3
    assert (result["verdict"], result["complete"]) == ("incomplete", False)
    assert (result["why_incomplete"], result["seed"]) == ("stopped after 2 schedules", 3)


def test_a_second_opinion_is_the_same(pfnlab: Command) -> None:
    command = ("check", "huge_fault", "two_faults", "--jobs", "1")

    assert pfnlab(*command, "--policy", "source") == pfnlab(*command)


@pytest.mark.parametrize("command", [["huge_fault", "./bare.py"], ["./bare.py"]])
def test_a_scenario_without_rules_about_the_state_is_told(
    pfnlab: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    head = "from pfnlab import scenario\nfrom pfnlab.rules import RULES\n\n\n@scenario\n"
    Path("bare.py").write_text(
        f'{head}def bare(lab):\n    """Nothing is done."""\n'
        "    lab.vfio_device()\n    lab.add_task('idle', lambda: None)\n"
    )
    ran = pfnlab("check", *command, "--jobs", "1")

    assert ran.err == (
        "pfnlab: bare has no always(): what functions ask for was checked, and no rule about the "
        "state\n"
    )
    Path("bare.py").write_text(Path("bare.py").read_text() + "    lab.always(*RULES)\n")
    assert pfnlab("check", *command, "--jobs", "1").err == ""


READS = '''
from pathlib import Path

from pfnlab.scenarios.faults import first_fault
from pfnlab import scenario

with Path(__file__).with_name("reads").open("a") as reads:
    reads.write("read\\n")


@scenario
def mine(lab):
    """One fault."""
    first_fault(lab)
'''


@pytest.mark.parametrize("processes", ["1", "2"])
def test_a_file_is_read_once_however_many_checks_it_is_in(
    pfnlab: Command, tmp_path: Path, processes: str
) -> None:
    file = tmp_path / "mine.py"
    file.write_text(READS, encoding="utf-8")

    ran = pfnlab("check", str(file), "--jobs", processes)

    assert f"{len(all_designs())} checks, " in ran.out
    assert (tmp_path / "reads").read_text() == "read\n"


def test_a_check_that_processes_share_is_handed_out_in_small_slices(
    pfnlab: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    slices: list[float] = []
    monkeypatch.setattr(jobs, "PATIENCE", 0.0)  # of the process that begins
    monkeypatch.setattr(
        jobs.Processes, "run", lambda its, _: slices.append(its.board.slice_seconds)
    )

    pfnlab("check", "huge_fault", "disable_enable_vs_fault", "--jobs", "2")

    assert slices == [board.SLICE_SECONDS]


NUMBER = """
from dataclasses import replace

from pfnlab.designs import huge_fault
from pfnlab.kernel import *


def huge(vmf, order):
    if order == PUD_ORDER or (order == PMD_ORDER and vmf.vma.size < 2 * MiB):
        return VM_FAULT_FALLBACK
    return huge_fault.huge_fault(vmf, order)


hooks = VmOperations(fault=huge_fault.page_fault, huge_fault=huge)
design = replace(huge_fault.design, name="number", vm_ops=hooks)
"""


def test_a_design_whose_larger_leaves_no_check_meets_is_told(
    pfnlab: Command, tmp_path: Path
) -> None:
    file = tmp_path / "number.py"
    file.write_text(NUMBER, encoding="utf-8")
    told = pfnlab("check", str(file), "first_fault").err
    file.write_text(NUMBER.replace("2 * MiB", "PAGE_SIZE << PMD_ORDER"), encoding="utf-8")

    assert told.startswith("pfnlab: number maps larger leaves where tables have 512 entries, and ")
    assert pfnlab("check", str(file), "first_fault").err == ""


def test_a_long_search_says_each_minute_how_far_it_is_where_nobody_sees_a_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "SAY_EVERY", 0.0)
    with runs.progress_line(7) as show:
        show("2 processes, 300 schedules", 3)
        monkeypatch.setattr(runs, "SAY_EVERY", 60.0)
        show("2 processes, 400 schedules", 4)

    assert capsys.readouterr().err == "pfnlab: 2 processes, 300 schedules, 3 of 7 done\n"
