"""A task that does not end is found, whatever it does for ever and whoever runs it."""

from collections.abc import Callable
from itertools import count

import pytest

from pfnlab import explore
from pfnlab.engine import (
    Program,
    Shared,
    compare_exchange,
    field,
    mutex,
    rw_semaphore,
    update,
    word,
)
from tests.explorer.oracles import scenario

Body = Callable[["Memory"], None]


class Memory(Shared):
    bit = word(1)
    lock = mutex()
    semaphore = rw_semaphore()
    plain = field(0)
    unnumbered = field(0, traced=False)


def compares_and_counts(memory: Memory) -> None:
    for _ in count():
        compare_exchange(memory, "bit", 0, 2)


def writes(memory: Memory) -> None:
    while True:
        memory.bit = 1


def updates(memory: Memory) -> None:
    while True:
        update(memory, "bit", lambda old: old + 1)


def locks(memory: Memory) -> None:
    while True:
        with memory.lock:
            pass


def reads_under_a_semaphore(memory: Memory) -> None:
    while True:
        with memory.semaphore.read():
            pass


def looks_and_counts(memory: Memory) -> None:
    for _ in count():
        assert memory.bit


def looks_at_a_plain_field(memory: Memory) -> None:
    for _ in count():
        assert not memory.plain


def writes_a_plain_field(memory: Memory) -> None:
    for number in count():
        memory.plain = number


def writes_what_no_trace_shows(memory: Memory) -> None:
    for number in count():
        memory.unnumbered = number


BODIES = [compares_and_counts, writes, updates, locks, reads_under_a_semaphore, looks_and_counts]
PLAIN = [looks_at_a_plain_field, writes_a_plain_field, writes_what_no_trace_shows]


@pytest.mark.parametrize("policy", ["dpor", "exhaustive", "random"])
@pytest.mark.parametrize("body", [*BODIES, *PLAIN])
def test_a_task_that_does_not_end_breaks_a_rule(body: Body, policy: str) -> None:
    def build(program: Program) -> None:
        memory = Memory()
        program.add_task("endless", lambda: body(memory))

    result = explore(scenario(build), policy=policy, step_limit=20, max_schedules=5)

    assert [finding.violation.rule for finding in result.findings] == ["every_task_ends"]
    evidence = result.findings[0].violation.evidence[0]
    many = "200 plain accesses in a row" if body is writes_what_no_trace_shows else "20 steps"
    assert evidence.startswith(f"endless has made more than {many}.")


def test_a_loop_that_looks_and_is_no_wait_says_why() -> None:
    def build(program: Program) -> None:
        memory = Memory()

        def polls() -> None:
            for _ in range(2):
                while memory.bit:
                    pass

        program.add_task("endless", polls)

    evidence = explore(scenario(build), step_limit=20).findings[0].violation.evidence[0]

    assert evidence.endswith(
        "It is taken for no wait, as polls() has a `for`, `yield` or `global`, which may count; "
        "wait_event() or try_again() says that it waits."
    )


@pytest.mark.parametrize("body", BODIES)
def test_others_go_on_beside_a_task_that_does_not_end(body: Body) -> None:
    def build(program: Program) -> None:
        memory = Memory()
        program.add_task("endless", lambda: body(memory))
        program.add_task("other", lambda: setattr(memory, "bit", 5))

    found = [
        explore(scenario(build), policy=policy, step_limit=3) for policy in ("dpor", "exhaustive")
    ]

    assert all(result.complete for result in found)
    rules = [{each.violation.rule for each in result.findings} for result in found]
    assert rules == [{"every_task_ends"}, {"every_task_ends"}]
