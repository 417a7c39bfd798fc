"""The reduction against the oracle, and against numbers that others have found too."""

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings

from pfnlab.engine import (
    Program,
    Scenario,
    Shared,
    begin_trying,
    done_trying,
    field,
    rw_semaphore,
    try_again,
    violate,
    word,
)
from pfnlab.engine.execution import Execution
from pfnlab.engine.program import Rule
from pfnlab.engine.schedule import follow
from pfnlab.explorer.exhaustive import Exhaustive
from pfnlab.explorer.policy import Policy
from pfnlab.explorer.result import Result
from pfnlab.explorer.search import Limits, Reduced, Search
from tests.explorer.plain_programs import plain_programs, plain_scenario
from tests.explorer.random_programs import Outcomes, Statement, programs, scenario_of
from tests.explorer.rule_programs import rule_programs, ruled
from tests.explorer.small_programs import (
    Build,
    Lab,
    choosers,
    counter,
    every,
    last_write,
    last_zero,
    lock_kept,
    opposite_orders,
    paired_locks,
    philosophers,
    readers,
    recursive_read,
    reduced,
    semaphore_users,
    trylock_vs_lock,
)

TOO_BIG = 2_500


def compared(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    )


def explored(
    build: Build, outcomes: Outcomes, policy: Policy | Reduced, most: int | None = None
) -> Result:
    return Search(Lab, build, lambda: policy, Limits(schedules=most), outcomes.note).run()


def both(make: Any, code: list[list[Statement]]) -> tuple[Result, Result]:
    """The results of the oracle and of the reduction, whose final states agree."""
    every_state, reduced_state = Outcomes(), Outcomes()
    oracle = explored(make(code), every_state, Exhaustive(), TOO_BIG)
    assume(oracle.complete)
    result = explored(make(code), reduced_state, Reduced())
    assert result.complete
    assert result.verdict == oracle.verdict
    # A race ends an execution early, and with it what else could have come of it.
    if "no_data_race" not in shortest(oracle):
        assert reduced_state.final() == every_state.final()
    # After a failure the reduction goes on, the oracle does not.
    assert result.findings or result.schedules - result.given_up <= oracle.schedules
    return oracle, result


def shortest(result: Result) -> dict[str, int]:
    """The length of the shortest counterexample to every rule that breaks."""
    steps: dict[str, int] = {}
    for finding in result.findings:
        rule = finding.violation.rule
        steps[rule] = min(finding.steps, steps.get(rule, finding.steps))
    return steps


@pytest.mark.slow
@compared(600)
@given(programs())
def test_dpor_and_exhaustive_agree_on_programs_with_locks_and_choices(
    code: list[list[Statement]],
) -> None:
    oracle, result = both(scenario_of, code)

    assert shortest(result) == shortest(oracle)


# Found by such programs: a killable wait was not tried before the first who had the lock.
KILLABLE_WAITS = [
    [
        [("section", "killable_write", "s1", [], True)],
        [
            ("section", "killable_write", "s1", [], True),
            ("section", second, "s1", [("read", "x")], False),
        ],
    ]
    for second in ("write", "killable_write")
]


@pytest.mark.parametrize("code", KILLABLE_WAITS, ids=["write", "killable_write"])
def test_a_killable_wait_is_tried_before_everybody_who_had_the_lock(
    code: list[list[Statement]],
) -> None:
    oracle = explored(scenario_of(code), Outcomes(), Exhaustive())
    result = explored(scenario_of(code), Outcomes(), Reduced())

    assert shortest(oracle) == {"no_deadlock": 4}
    assert shortest(result) == shortest(oracle)


@pytest.mark.slow
@compared(300)
@given(plain_programs())
def test_dpor_and_exhaustive_agree_on_programs_with_plain_fields_and_retries(
    code: list[list[Statement]],
) -> None:
    oracle, result = both(plain_scenario, code)

    # How short a race can be told is the subject of a test of its own below.
    racy = "no_data_race" in shortest(oracle)
    assert racy == ("no_data_race" in shortest(result))
    assert racy or shortest(result) == shortest(oracle)


@pytest.mark.slow
@compared(300)
@given(rule_programs())
def test_dpor_and_exhaustive_agree_on_programs_with_rules_over_two_words(
    code: list[list[Statement]],
) -> None:
    oracle, result = both(ruled, code)

    assert shortest(result) == shortest(oracle)


# How many Mazurkiewicz traces a program has: those that end, and those in which a task is
# blocked for ever.  By brute force over all partial traces; most of the numbers are also
# in the reference results of nidhugg, GenMC and Concuerror.
TRACES = [
    (philosophers(2), 2, 1),
    (philosophers(3), 6, 1),
    (philosophers(5), 30, 1),  # 2^n - 1
    (philosophers(4, in_order=True), 14, 0),
    (last_zero(3), 12, 0),
    (last_zero(5), 64, 0),
    (last_zero(6), 144, 0),  # (n + 3) 2^(n - 2)
    (readers(5), 32, 0),  # 2^n
    (last_write(4), 24, 0),  # n!
    (counter(4), 24, 0),  # n!
    (counter(3, 2), 90, 0),
    (lock_kept(3), 0, 3),
    (trylock_vs_lock(2), 15, 0),
    (trylock_vs_lock(3), 103, 0),
    (semaphore_users(4, 1), 16, 0),
    (semaphore_users(3, 2), 54, 0),  # w! (w + 1)^r
    (recursive_read(fair=False), 2, 0),
    (opposite_orders(2), 6, 3),
    (opposite_orders(3), 24, 10),
    (choosers(3, 2), 48, 0),
    (paired_locks(3), 48, 0),  # 2^k k!
]


@pytest.mark.parametrize(("build", "ending", "blocked"), TRACES)
def test_dpor_runs_every_trace_that_ends_exactly_once(
    build: Build, ending: int, blocked: int
) -> None:
    result = reduced(build)

    assert result.complete
    assert result.schedules - result.given_up - result.failing == ending
    assert result.failing >= blocked
    assert bool(result.failing) == bool(blocked)


@pytest.mark.slow
def test_dpor_runs_the_384_traces_of_four_pairs_of_locks() -> None:
    result = reduced(paired_locks(4))

    assert (result.schedules, result.given_up, result.failing) == (384, 0, 0)


def test_dpor_finds_the_one_deadlock_of_three_philosophers() -> None:
    result = reduced(philosophers(3))

    assert (result.schedules, result.given_up, result.failing) == (7, 0, 1)
    assert result.schedule == "p0:1,p1:1,p2:1"
    assert every(philosophers(3)).schedule == result.schedule


def test_dpor_finds_the_deadlock_of_a_reader_that_reads_twice() -> None:
    result = reduced(recursive_read(fair=True))

    # A writer that comes first, last, or waits after the first, second or third step of the
    # reader; after the first it is the deadlock.
    assert (result.schedules, result.given_up, result.failing) == (5, 0, 1)
    assert result.schedule == "reader:1,writer:1"


class Memory(Shared):
    x = word(0)
    y = word(0)
    f = field(0)
    sem = rw_semaphore()


SLOW = Rule("slow", "A failure that takes a while.")
QUICK = Rule("quick", "A failure that comes at once.")


def two_failures(program: Program) -> None:
    memory = Memory()

    @program.task
    def slow() -> None:
        for _ in range(3):
            memory.x = 1
        violate(SLOW)

    @program.task
    def quick() -> None:
        memory.y = 1
        violate(QUICK)


def test_dpor_finds_both_of_two_failures_that_have_nothing_to_do_with_each_other() -> None:
    assert shortest(every(two_failures)) == {"quick": 2, "slow": 4}
    assert shortest(reduced(two_failures)) == {"quick": 2, "slow": 4}


def one_race(program: Program) -> None:
    memory = Memory()

    @program.task
    def long() -> None:
        for value in range(3):
            memory.f = value

    @program.task
    def short() -> None:
        memory.f = 7


def test_dpor_tells_a_data_race_in_the_one_order_that_it_meets() -> None:
    # docs/limits.md says so.
    assert every(one_race).schedule == "short:1,long:1"
    assert reduced(one_race).schedule == "long:3,short:1"


def test_dpor_runs_fewer_schedules_than_there_are() -> None:
    assert every(philosophers(3)).schedules == 168
    assert reduced(philosophers(3)).schedules == 7


def test_a_limit_makes_a_search_incomplete() -> None:
    result = Search(
        Lab, Scenario("p", "Philosophers.", philosophers(3)), Reduced, Limits(schedules=3)
    ).run()

    assert (result.schedules, result.complete) == (3, False)
    assert result.why_incomplete == "stopped after 3 schedules"


@pytest.mark.parametrize("make", [Reduced, lambda: Reduced(preemptions=9)])
def test_a_limit_that_leaves_nothing_out_leaves_a_search_complete(
    make: Callable[[], Reduced],
) -> None:
    scenario = Scenario("p", "Philosophers.", philosophers(2))
    whole = Search(Lab, scenario, make).run()
    limited = [
        Search(Lab, scenario, make, Limits(schedules=whole.schedules + more)).run()
        for more in (-1, 0, 1)
    ]

    assert [result.complete for result in limited] == [False, True, True]
    assert limited[1].schedules == whole.schedules


def two_spinners(program: Program) -> None:
    memory = Memory()

    def spin() -> None:
        begin_trying()
        while True:
            with memory.sem.read():
                found = memory.x
            if found:
                break
            try_again()
        done_trying()

    program.add_task("one", spin)
    program.add_task("two", spin)
    program.add_task("setter", lambda: setattr(memory, "x", 1))


def test_two_tasks_that_try_again_under_a_read_lock_do_not_keep_each_other_awake() -> None:
    execution = Execution(Lab(), two_spinners)
    # Both are inside, both come out; neither has seen anything but x, which is the same.
    follow(execution, "one:1,two:3,one:2")

    assert [task.name for task in execution.enabled()] == ["setter"]
