"""The printed counterexample, whole."""

from collections.abc import Callable, Iterator

import pytest

from pfnlab import Design, Scenario, explore, invariant
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.engine import Program, Shared, choose, mutex, update, word
from pfnlab.report.counterexample import finding_text, result_text
from pfnlab.scenarios.faults import first_fault, two_faults
from pfnlab.scenarios.zaps import munmap_vs_fault, zap_vs_fault
from tests.stories.test_concurrent_first_faults import concurrent_first_faults
from tests.stories.test_enabled_tested_before_the_lock import enabled_tested_before_the_lock
from tests.stories.test_lock_dropped_too_early import lock_dropped_too_early
from tests.stories.test_lock_left_on_the_sigbus_path import lock_left_on_the_sigbus_path
from tests.stories.test_locks_the_other_way_round import locks_the_other_way_round
from tests.stories.test_nopage_without_mapping_anything import nopage_without_mapping_anything
from tests.stories.test_populate_in_mmap import populate_in_mmap, zap_vs_mmap
from tests.stories.test_write_lock_in_the_fault import write_lock_in_the_fault
from tests.stories.test_zap_before_the_lock import zap_before_the_lock

Compare = Callable[[str, str], None]


class Table(Shared):
    """Two forks and a bowl."""

    left = mutex()
    right = mutex()
    eaten = word(0)

    def __init__(self) -> None:
        self.name = "table"


@invariant
def something_is_left(program: Program) -> Iterator[str]:
    """The bowl is empty."""
    (table,) = program.tables  # type: ignore[attr-defined]  # a field of this test's own
    if table.eaten >= 4:
        yield f"{table.eaten} spoons are eaten"


def eaters(number: int) -> Scenario:
    """So many tasks, of which each eats once."""

    def build(program: Program) -> None:
        table = Table()
        program.tables = (table,)  # type: ignore[attr-defined]

        def eat() -> None:
            update(table, "eaten", lambda eaten: eaten + 1)

        for name in range(number):
            program.add_task(f"philosopher{name}", eat)
        program.always(something_is_left)

    return Scenario("philosophers", "They eat.", build)


def forks(program: Program) -> None:
    table = Table()

    def right_handed() -> None:
        with table.right, table.left:
            pass

    def left_handed() -> None:
        with table.left, table.right:
            pass

    program.add_task("plato", right_handed)
    program.add_task("socrates", left_handed)


def chooses(program: Program) -> None:
    def task() -> None:
        if choose(["tea", "coffee"], "a drink") == "coffee":
            table = Table()
            table.left.unlock()

    program.add_task("guest", task)


CASES: dict[str, tuple[Scenario, Design | None, list[str] | None]] = {
    "one_column": (first_fault, remap_on_fault.design, None),
    "two_tasks": (zap_vs_fault, zap_before_the_lock, None),
    "two_columns_deadlock": (Scenario("forks", "Two forks.", forks), None, None),
    "four_tasks": (eaters(4), None, None),
    "lock_order": (zap_vs_fault, locks_the_other_way_round, ["lock_order"]),
    "deadlock": (zap_vs_fault, locks_the_other_way_round, ["no_deadlock"]),
    "data_race": (zap_vs_fault, enabled_tested_before_the_lock, None),
    "use_after_free": (munmap_vs_fault, write_lock_in_the_fault, None),
    "freed_while_used": (munmap_vs_fault, lock_dropped_too_early, ["no_use_after_free"]),
    "livelock": (first_fault, nopage_without_mapping_anything, None),
    "lock_in_user_space": (zap_vs_fault, lock_left_on_the_sigbus_path, None),
    "several_leaves": (zap_vs_mmap, populate_in_mmap, None),
    "a_slot_that_is_taken": (two_faults, concurrent_first_faults, ["R18"]),
    "a_choice": (Scenario("drinks", "A guest chooses.", chooses), None, None),
    "ok": (zap_vs_fault, huge_fault.design, None),
}


@pytest.mark.parametrize("name", CASES)
def test_the_text_is_that_of_the_snapshot(name: str, same_as_snapshot: Compare) -> None:
    scenario, design, rules = CASES[name]
    result = explore(scenario, design, rules=rules)
    title = design.name if design is not None else ""
    specs = (title, scenario.name) if title else None

    same_as_snapshot(
        f"counterexample_{name}", result_text(result, scenario.name, title, specs=specs)
    )


def test_an_unfinished_search_is_no_success(same_as_snapshot: Compare) -> None:
    texts = []
    for options in (
        {"max_schedules": 1},
        {"policy": "random", "max_schedules": 20, "seed": 7},
        {"preemptions": 0},
    ):
        result = explore(zap_vs_fault, huge_fault.design, **options)  # type: ignore[arg-type]
        texts.append(result_text(result, "zap_vs_fault", "huge_fault"))

    same_as_snapshot("incomplete", "\n".join(texts))


def test_a_failure_of_an_unfinished_search_says_so(same_as_snapshot: Compare) -> None:
    result = explore(zap_vs_fault, remap_on_fault.design, max_schedules=1)

    same_as_snapshot(
        "counterexample_unfinished", result_text(result, "zap_vs_fault", "remap_on_fault")
    )


def test_all_findings_are_told_one_after_the_other(same_as_snapshot: Compare) -> None:
    result = explore(zap_vs_fault, locks_the_other_way_round)
    names = ("locks_the_other_way_round", "zap_vs_fault")

    assert len(result.findings) > 1
    same_as_snapshot(
        "all_findings", result_text(result, *reversed(names), specs=names, all_findings=True)
    )


def test_without_all_findings_the_others_are_named() -> None:
    result = explore(zap_vs_fault, locks_the_other_way_round)
    text = result_text(result, "zap_vs_fault", "locks_the_other_way_round")

    others = ", ".join(finding.violation.rule for finding in result.findings[1:])
    assert f"; also broken: {others} (--all-findings)" in text


def test_a_replay_command_quotes_what_a_shell_would_split() -> None:
    result = explore(Scenario("drinks", "A guest chooses.", chooses))
    text = result_text(result, "drinks", "", specs=("my designs/a.py", "drinks"))

    assert text.endswith("  Replay: pfnlab replay 'my designs/a.py' drinks 'guest:2[1]'")


def test_the_text_of_a_finding_has_no_title() -> None:
    result = explore(first_fault, remap_on_fault.design)

    assert finding_text(result.findings[0]).startswith("  vm_flags_set(vma, VM_PAT) needs ")
