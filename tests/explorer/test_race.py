"""The two steps that a reader should look at first."""

from pfnlab.engine import (
    Program,
    Shared,
    field,
    join,
    mutex,
    rw_semaphore,
    start,
    wait_event,
    word,
)
from pfnlab.engine.label import (
    LOCK,
    READ,
    READ_LOCK,
    READ_UNLOCK,
    UNLOCK,
    WRITE,
    WRITE_LOCK,
    Label,
)
from pfnlab.engine.record import TraceStep
from pfnlab.explorer.race import racing_pair
from tests.explorer.small_programs import reduced

X, Y = 1, 2  # words, by number
M, S = 8, 9  # locks, by number


def trace(*steps: tuple[str, Label]) -> list[TraceStep]:
    return [
        TraceStep(number, task, "does", "", "", label)
        for number, (task, label) in enumerate(steps, start=1)
    ]


def read(word: int) -> Label:
    return Label(((word, READ),))


def write(word: int) -> Label:
    return Label(((word, WRITE),))


def lock(mode: int, target: int) -> Label:
    return Label(((target, mode),))


def test_a_write_and_a_read_that_nothing_orders_are_a_pair() -> None:
    assert racing_pair(trace(("a", write(X)), ("b", read(X)))) == (1, 2)


def test_two_reads_are_no_pair() -> None:
    assert racing_pair(trace(("a", read(X)), ("b", read(X)))) is None


def test_accesses_of_different_words_are_no_pair() -> None:
    assert racing_pair(trace(("a", write(X)), ("b", write(Y)))) is None


def test_accesses_of_one_task_are_no_pair() -> None:
    assert racing_pair(trace(("a", write(X)), ("a", write(X)))) is None


def test_the_newest_pair_comes_first() -> None:
    steps = trace(("a", write(X)), ("b", write(X)), ("a", write(Y)), ("b", read(Y)))

    assert racing_pair(steps) == (3, 4)


def test_a_mutex_that_is_handed_over_orders_the_two() -> None:
    steps = trace(
        ("a", lock(LOCK, M)), ("a", write(X)), ("a", lock(UNLOCK, M)),
        ("b", lock(LOCK, M)), ("b", read(X)),
    )  # fmt: skip

    assert racing_pair(steps) is None


def test_different_locks_order_nothing() -> None:
    steps = trace(
        ("a", lock(LOCK, M)), ("a", write(X)), ("a", lock(UNLOCK, M)),
        ("b", lock(WRITE_LOCK, S)), ("b", read(X)),
    )  # fmt: skip

    assert racing_pair(steps) == (2, 5)


def test_two_readers_of_a_semaphore_are_not_ordered_by_it() -> None:
    steps = trace(
        ("a", lock(READ_LOCK, S)), ("a", write(X)), ("a", lock(READ_UNLOCK, S)),
        ("b", lock(READ_LOCK, S)), ("b", read(X)),
    )  # fmt: skip

    assert racing_pair(steps) == (2, 5)


def test_a_chain_of_locks_through_a_third_task_orders_the_two() -> None:
    steps = trace(
        ("a", write(X)), ("a", lock(LOCK, M)), ("a", lock(UNLOCK, M)),
        ("c", lock(LOCK, M)), ("c", lock(UNLOCK, M)), ("c", lock(WRITE_LOCK, S)),
        ("b", lock(READ_LOCK, S)), ("b", read(X)),
    )  # fmt: skip

    assert racing_pair(steps) is None


class Device(Shared):
    enabled = word(True)
    lock = mutex()
    sem = rw_semaphore()
    plain = field(0)


def test_a_task_that_has_no_part_in_the_failure_is_in_no_pair() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def fault() -> None:
            if device.enabled:
                with device.lock, device.lock:  # never returns
                    pass

        @program.task
        def disable() -> None:
            device.enabled = False

    (finding,) = reduced(build).findings

    assert finding.schedule == "fault:2"
    assert finding.trace.race is None  # the other task has no part in it


def test_a_deadlock_of_two_locks_has_no_pair() -> None:
    def build(program: Program) -> None:
        device = Device()

        @program.task
        def one() -> None:
            with device.sem.read(), device.lock:
                pass

        @program.task
        def two() -> None:
            with device.lock, device.sem.write():
                pass

    (finding,) = reduced(build).findings

    assert finding.schedule == "one:1,two:1"
    assert finding.trace.race is None


def joined(program: Program) -> None:
    """A task writes, another one waits for its end and reads."""
    device = Words()

    def look() -> None:
        join("writes")
        assert device.x == 2, "it is 1"

    def writes() -> None:
        device.x = 1

    program.add_task("writes", writes)
    program.add_task("look", look)


def test_what_a_task_did_comes_before_what_others_do_after_a_join() -> None:
    assert reduced(joined).findings[0].trace.race is None


def test_what_a_task_did_before_it_started_another_comes_before_that() -> None:
    def build(program: Program) -> None:
        device = Words()

        def begin() -> None:
            device.x = 1
            start("look")

        def look() -> None:
            assert device.x == 2, "it is 1"

        program.add_task("begin", begin)
        program.add_task("look", look, lazy=True)

    assert reduced(build).findings[0].trace.race is None


def test_a_wait_comes_after_the_write_that_ended_it() -> None:
    def build(program: Program) -> None:
        device = Words()

        def write_both() -> None:
            device.x = 1
            device.y = 1

        def look() -> None:
            wait_event(device, "y", lambda y: y == 1)
            assert device.x == 2, "it is 1"

        program.add_task("write_both", write_both)
        program.add_task("look", look)

    assert reduced(build).findings[0].trace.race is None


class Words(Shared):
    x = word(0)
    y = word(0)
