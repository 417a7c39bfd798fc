"""What the code of a task calls: choices, loops that try again, broken rules."""

import pytest

from pfnlab.engine import (
    ModelError,
    Program,
    Shared,
    begin_trying,
    choose,
    done_trying,
    field,
    mutex,
    try_again,
    violate,
    wait_event,
    word,
)
from pfnlab.engine.program import Rule
from tests.engine.runs import enabled, every_run, outcomes, rules_broken, run

NEVER = Rule("never", "This never happens.")


class Device(Shared):
    x = word(0)
    y = word(0)
    plain = field(0)
    lock = mutex()


def test_every_option_of_a_choice_is_explored() -> None:
    picked: list[str] = []

    def build(program: Program) -> None:
        @program.task
        def task() -> None:
            picked[:] = [choose("abc") + choose("de")]

    assert outcomes(build, lambda: picked[0]) == {"ad", "ae", "bd", "be", "cd", "ce"}


def test_a_choice_is_named_in_the_schedule() -> None:
    def build(program: Program) -> None:
        @program.task
        def task() -> None:
            if choose([False, True]) and choose([0, 1, 2]) == 2:
                violate(NEVER)

    assert every_run(build).schedule == "task:3[1.2]"


def test_a_choice_of_nothing_is_an_error() -> None:
    def build(program: Program) -> None:
        program.add_task("task", lambda: choose([]))

    with pytest.raises(ModelError, match="needs at least one option"):
        run(build)


def test_an_option_that_cannot_be_hashed_is_an_error_where_it_is_chosen() -> None:
    def build(program: Program) -> None:
        program.add_task("task", lambda: choose([[1], [2]]))

    with pytest.raises(
        ModelError, match=r"choose\(\[\[1\], \[2\]\]\): an option is what can be hashed"
    ):
        run(build, "task:1")


def test_what_setup_chooses_is_the_first_option() -> None:
    picked: list[int] = []

    run(lambda program: picked.append(choose([4, 5])))

    assert picked == [4]


def test_a_broken_rule_leaves_its_task_where_it_is() -> None:
    after: list[str] = []

    def build(program: Program) -> None:
        device = Device()

        @program.task
        def task() -> None:
            with device.lock:
                violate(NEVER, "the evidence")
                after.append("went on")

    execution = run(build, "task:2")

    assert after == []
    assert execution.violation is not None
    assert execution.violation[:5] == (
        "never", "This never happens.", ("the evidence",), "task", 2,
    )  # fmt: skip
    assert [hold.lock.name for hold in execution.program.tasks[0].held] == ["device1.lock"]


def test_a_rule_that_is_not_enforced_does_not_stop_its_task() -> None:
    after: list[str] = []

    def build(program: Program) -> None:
        program.enforced = frozenset({"another"})

        @program.task
        def task() -> None:
            violate(NEVER)
            after.append("went on")

    assert every_run(build).verdict == "ok"
    assert after == ["went on"]


def test_a_rule_may_be_enforced_by_its_number() -> None:
    numbered = Rule("never", "This never happens.", "L7")

    def build(program: Program) -> None:
        program.enforced = frozenset({"L7"})
        program.add_task("task", lambda: violate(numbered))

    assert rules_broken(build) == ["never"]


def test_a_rule_that_breaks_in_setup_breaks_before_any_step() -> None:
    def build(program: Program) -> None:
        program.add_task("task", lambda: choose([1]))
        violate(NEVER, "at once")

    result = every_run(build)

    assert (result.schedule, result.schedules) == ("", 1)
    assert result.violation is not None
    assert (result.violation.rule, result.violation.task) == ("never", "setup")


def spinner(device: Device) -> None:
    begin_trying()
    while not device.x:
        try_again()
    done_trying()


def test_a_loop_that_tries_again_waits_until_something_it_saw_has_changed() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("spinner", lambda: spinner(device))

        @program.task
        def setter() -> None:
            device.y = 1  # is not what the loop looks at
            device.x = 1

    assert enabled(run(build, "spinner:1")) == ["setter"]
    assert enabled(run(build, "spinner:1,setter:1")) == ["setter"]
    assert enabled(run(build, "spinner:1,setter:2")) == ["spinner"]
    result = every_run(build)
    assert result.verdict == "ok"
    assert result.complete
    assert result.steps == 5  # read, write, write, retry, read: never round in vain


def test_a_loop_that_waits_for_what_nobody_does_is_a_livelock() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("spinner", lambda: spinner(device))

    result = every_run(build)

    assert result.violation is not None
    assert result.violation.rule == "no_livelock"
    assert result.violation.evidence == (
        "spinner will try again for ever; it looks at device1.x. A round is step 1 of spinner.",
    )
    assert result.schedule == "spinner:1"


def test_a_change_that_is_taken_back_before_the_next_round_wakes_nobody() -> None:
    def build(program: Program) -> None:
        device = Device()
        program.add_task("spinner", lambda: spinner(device))

        @program.task
        def setter() -> None:
            device.x = 1
            device.x = 0

    assert "spinner" in enabled(run(build, "spinner:1,setter:1"))
    assert enabled(run(build, "spinner:1,setter:2")) == []


def test_a_loop_that_saw_two_different_values_of_one_word_goes_round_again() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def looker() -> None:
            begin_trying()
            while device.x + device.x != 2:
                try_again()
            done_trying()

        @program.task
        def setter() -> None:
            device.x = 1
            device.x = 0

    # It saw 0, then 1; the word is 0 again, but the next round may well see something else.
    seen = run(build, "looker:1,setter:1,looker:1,setter:1")

    assert enabled(seen) == ["looker"]


def test_a_loop_that_changes_what_it_looks_at_keeps_itself_awake() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def counter() -> None:
            begin_trying()
            while device.x < 3:
                device.x = device.x + 1
                try_again()
            done_trying()

    assert every_run(build).verdict == "ok"


def test_a_loop_goes_round_again_to_change_what_another_task_has_put_back() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def asks() -> None:
            begin_trying()
            while True:
                device.x = 1
                if device.y:
                    break
                try_again()
            done_trying()

        @program.task
        def answers_the_second_time() -> None:
            device.x = 0
            wait_event(device, "x", bool)
            device.y = 1

    result = every_run(build)
    assert (result.verdict, result.complete) == ("ok", True)


def test_a_loop_that_takes_and_drops_a_lock_sees_no_change_of_its_own() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def looker() -> None:
            begin_trying()
            while True:
                with device.lock:
                    if device.x:
                        break
                try_again()
            done_trying()

    assert rules_broken(build) == ["no_livelock"]


def test_a_loop_over_a_trylock_waits_for_the_lock() -> None:
    def build(program: Program) -> None:
        device = Device()

        def take() -> None:
            begin_trying()
            while not device.lock.trylock():
                try_again()
            done_trying()
            device.lock.unlock()

        program.add_task("one", take)
        program.add_task("two", take)

    result = every_run(build)

    assert result.verdict == "ok"
    assert enabled(run(build, "one:1,two:1")) == ["one"]


def test_a_loop_over_plain_fields_waits_for_the_fields() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def looker() -> None:
            begin_trying()
            while True:
                with device.lock:
                    ready = device.plain
                if ready:
                    break
                try_again()
            done_trying()

        @program.task
        def setter() -> None:
            with device.lock:
                device.plain = 1

    assert every_run(build).verdict == "ok"
    assert enabled(run(build, "looker:3")) == ["setter"]


def test_trying_again_without_having_begun_is_an_error() -> None:
    def build(program: Program) -> None:
        program.add_task("task", try_again)

    with pytest.raises(ModelError, match=r"try_again\(\) without begin_trying\(\)"):
        run(build)
