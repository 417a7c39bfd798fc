"""explore, check and replay: the interface in Python."""

import pytest

import pfnlab
from pfnlab import (
    BadSchedule,
    Counterexample,
    Incomplete,
    ModelError,
    Scenario,
    check,
    explore,
    replay,
    scenario,
)
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.engine import Program, Shared, field, mutex, update, word
from pfnlab.kernel import Lab
from pfnlab.scenarios.faults import first_fault
from pfnlab.scenarios.zaps import zap_vs_fault


class Counter(Shared):
    """A number, with a lock that may be used."""

    lock = mutex()
    value = field(0, guarded_by="lock")
    atomic = word(0)

    def __init__(self) -> None:
        self.name = "counter"


@scenario
def two_adders(program: Program) -> None:
    """Two tasks add one, without the lock."""
    counter = Counter()

    @program.task
    def first() -> None:
        counter.value += 1

    @program.task
    def second() -> None:
        counter.value += 1


@scenario
def two_careful_adders(program: Program) -> None:
    """Two tasks add one, with the lock."""
    counter = Counter()

    @program.task
    def first() -> None:
        with counter.lock:
            counter.value += 1

    @program.task
    def second() -> None:
        with counter.lock:
            counter.value += 1


def test_check_returns_the_result_of_a_design_that_holds() -> None:
    result = check(zap_vs_fault, huge_fault.design)

    assert (result.verdict, result.complete, result.violation) == ("ok", True, None)
    assert result.schedule == ""


def test_check_raises_the_counterexample_as_it_is_printed() -> None:
    with pytest.raises(Counterexample) as caught:
        check(first_fault, remap_on_fault.design)

    assert str(caught.value).startswith(
        "first_fault on remap_on_fault: FAIL  mmap_assert_write_locked\n"
    )
    assert caught.value.result.schedule == "vcpu:13"
    assert isinstance(caught.value, AssertionError)


def test_check_does_not_take_an_unfinished_search_for_success() -> None:
    with pytest.raises(Incomplete, match="INCOMPLETE, 1 schedule without a failure") as caught:
        check(zap_vs_fault, huge_fault.design, max_schedules=1)

    assert caught.value.result.schedules == 1


def test_a_program_without_a_kernel_needs_no_design() -> None:
    result = explore(two_adders)

    assert result.violation is not None
    assert result.violation.rule == "no_data_race"
    assert check(two_careful_adders).complete


@pytest.mark.parametrize("policy", ["dpor", "exhaustive"])
def test_the_result_counts_what_was_run(policy: str) -> None:
    result = explore(two_careful_adders, policy=policy)

    assert result.policy == policy
    assert (result.schedules, result.failing, result.steps) == (2, 0, 8)


def test_a_random_policy_stops_by_itself_and_is_incomplete() -> None:
    result = explore(two_careful_adders, policy="random", seed=5)

    assert (result.schedules, result.complete, result.seed) == (1000, False, 5)


def test_the_same_seed_finds_the_same() -> None:
    runs = [explore(zap_vs_fault, huge_fault.design, policy="pct", seed=3, max_schedules=20)
            for _ in range(2)]  # fmt: skip

    assert runs[0].steps == runs[1].steps
    assert runs[0].findings == runs[1].findings


def test_an_unknown_policy_is_named() -> None:
    with pytest.raises(ModelError, match="no policy is called 'guess'; there are dpor"):
        explore(first_fault, huge_fault.design, policy="guess")


def test_a_rule_that_is_not_asked_for_may_break() -> None:
    assert explore(first_fault, remap_on_fault.design, rules=["D1"]).verdict == "ok"
    assert explore(first_fault, remap_on_fault.design, rules=["R3"]).verdict == "FAIL"


def test_replay_of_a_schedule_that_breaks_nothing_is_none() -> None:
    assert replay(first_fault, huge_fault.design, "vcpu:3") is None


def test_replay_finds_what_explore_found() -> None:
    result = explore(two_adders)
    finding = replay(two_adders, None, result.schedule)

    assert finding is not None
    assert finding.violation == result.violation
    assert finding.schedule == result.schedule


def test_a_schedule_that_does_not_fit_is_refused() -> None:
    with pytest.raises(BadSchedule, match="this scenario has vcpu"):
        replay(first_fault, huge_fault.design, "nobody:1")


def test_a_step_limit_ends_a_task_that_does_not() -> None:
    result = explore(first_fault, huge_fault.design, step_limit=3)

    assert result.violation is not None
    assert result.violation.rule == "every_task_ends"


def test_an_error_of_a_scenario_names_its_line() -> None:
    def build(lab: Lab) -> None:
        raise KeyError("BAR")

    with pytest.raises(ModelError, match=r"test_verdict\.py:\d+: KeyError: 'BAR'"):
        explore(Scenario("broken", "Broken.", build), huge_fault.design)


def test_an_error_under_a_lock_is_an_error_and_no_unlock() -> None:
    def build(program: Program) -> None:
        counter = Counter()

        @program.task
        def task() -> None:
            with counter.lock:
                counter.lock.unlock()
                raise KeyError("no kernel event")

    with pytest.raises(ModelError, match="KeyError: 'no kernel event'"):
        explore(Scenario("raises", "Raises.", build))


def test_progress_is_told_of_every_schedule() -> None:
    seen: list[int] = []

    result = explore(
        zap_vs_fault, huge_fault.design, progress=lambda search, _run: seen.append(search.schedules)
    )

    assert seen == list(range(1, result.schedules + 1))


def test_an_interrupt_keeps_what_was_found() -> None:
    def interrupt(search: object, _execution: object) -> None:
        raise KeyboardInterrupt

    result = explore(zap_vs_fault, remap_on_fault.design, progress=interrupt)

    assert result.why_incomplete == "interrupted"
    assert not result.complete
    assert result.violation is not None


def test_an_interrupt_inside_a_task_is_an_interrupt() -> None:
    runs: list[int] = []

    def build(program: Program) -> None:
        counter = Counter()

        @program.task
        def task() -> None:
            runs.append(1)
            with counter.lock:
                counter.atomic = 1
                if len(runs) > 4:  # those before look for nondeterminism
                    raise KeyboardInterrupt

        @program.task
        def other() -> None:
            for _ in range(4):
                counter.atomic = 2

    result = explore(Scenario("interrupted", "Ctrl-C.", build))

    assert result.why_incomplete == "interrupted"
    assert result.findings == ()


def test_the_names_that_users_need_are_all_public() -> None:
    for name in pfnlab.__all__:
        assert getattr(pfnlab, name) is not None
    assert {"check", "explore", "replay", "scenario", "invariant", "Design"} <= set(pfnlab.__all__)


def test_a_race_that_may_be_is_explored_like_any_other_step() -> None:
    def build(program: Program) -> None:
        counter = Counter()

        def count() -> None:
            counter.value += 1
            update(counter, "atomic", lambda ended: ended + 1)

        @program.task
        def reader() -> None:
            if counter.atomic == 2 and counter.value == 1:
                counter.lock.unlock()  # breaks a rule: one increment is lost

        program.add_task("one", count)
        program.add_task("two", count)

    lost = Scenario("lost", "Two tasks count.", build)

    result = explore(lost, rules=["lock_balance"])

    assert result.complete
    assert result.violation is not None
    assert result.schedule.startswith("Counter.value!")
    finding = replay(lost, None, result.schedule, rules=["lock_balance"])
    assert finding is not None
    assert finding.schedule == result.schedule
