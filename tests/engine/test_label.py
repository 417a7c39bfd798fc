"""Labels tell the whole truth: independent steps can be swapped without anyone noticing."""

import pickle
import random

import pytest
from hypothesis import HealthCheck, given, settings

from pfnlab.engine import Program
from pfnlab.engine import label as kind
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import Label, dependent
from pfnlab.explorer.policy import Choice, options
from tests.engine.runs import run
from tests.explorer.random_programs import Statement, learned, programs, scenario_of
from tests.explorer.small_programs import semaphore_users


def walk(execution: Execution, seed: int) -> list[Choice]:
    chance = random.Random(seed)
    execution.restart()
    made: list[Choice] = []
    while execution.violation is None and (enabled := options(execution)):
        made.append(chance.choice(enabled))
        execution.fire(execution.program.tasks[made[-1].task], made[-1].option)
    return made


@pytest.mark.slow
@settings(
    max_examples=200,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(programs())
def test_neighbours_that_are_independent_can_be_swapped(code: list[list[Statement]]) -> None:
    execution = Execution(Program(), scenario_of(code))

    def state() -> tuple[object, ...]:
        values = [(cell.name, cell.value) for cell in execution.cells if cell.value]
        return sorted(values, key=str), learned(execution)

    for seed in range(4):
        made = walk(execution, seed)
        if execution.violation is not None:
            continue
        end = state()
        labels = [event.label for event in execution.events]
        for place in range(len(made) - 1):
            first, second = made[place], made[place + 1]
            if first.task == second.task or dependent(labels[place], labels[place + 1]):
                continue
            execution.restart()
            for choice in [*made[:place], second, first, *made[place + 2 :]]:
                assert choice in options(execution)
                execution.fire(execution.program.tasks[choice.task], choice.option)
            swapped = [event.label for event in execution.events]
            assert swapped[place : place + 2] == [labels[place + 1], labels[place]]
            assert swapped[place + 2 :] == labels[place + 2 :]
            assert state() == end
    execution.end()


READ_SIDE = (kind.READ_LOCK, kind.READ_UNLOCK, kind.READ_TRYLOCK)
WRITE_SIDE = (kind.WRITE_LOCK, kind.WRITE_UNLOCK, kind.WRITE_TRYLOCK, kind.DOWNGRADE)
FAILED = (kind.READ_TRYLOCK_FAILED, kind.WRITE_TRYLOCK_FAILED)


def lock_events_depend(one: int, two: int) -> bool:
    there, back = (
        dependent(Label(((3, a),)), Label(((3, b),))) for a, b in ((one, two), (two, one))
    )
    assert there == back
    return there


@pytest.mark.parametrize("one", READ_SIDE)
def test_readers_depend_on_the_write_side_only(one: int) -> None:
    assert not any(lock_events_depend(one, two) for two in READ_SIDE)
    assert all(lock_events_depend(one, two) for two in WRITE_SIDE)


@pytest.mark.parametrize("one", WRITE_SIDE)
def test_the_write_side_depends_on_everything(one: int) -> None:
    assert all(lock_events_depend(one, two) for two in (*READ_SIDE, *WRITE_SIDE, *FAILED))


def test_attempts_that_failed_depend_on_what_would_have_let_them_in() -> None:
    assert not any(lock_events_depend(one, two) for one in FAILED for two in FAILED)
    assert not any(lock_events_depend(kind.READ_TRYLOCK_FAILED, two) for two in READ_SIDE)
    assert all(lock_events_depend(kind.WRITE_TRYLOCK_FAILED, two) for two in READ_SIDE)


@pytest.mark.parametrize("one", [kind.LOCK, kind.UNLOCK, kind.TRYLOCK])
def test_mutex_events_depend_on_each_other_but_two_failures(one: int) -> None:
    for two in (kind.LOCK, kind.UNLOCK, kind.TRYLOCK, kind.TRYLOCK_FAILED):
        assert lock_events_depend(one, two)
    assert not lock_events_depend(kind.TRYLOCK_FAILED, kind.TRYLOCK_FAILED)


def test_different_locks_are_independent() -> None:
    assert not dependent(Label(((3, kind.LOCK),)), Label(((4, kind.LOCK),)))


def test_a_wait_depends_on_the_words_and_locks_that_it_looks_at() -> None:
    wait = Label(((3, kind.READ), (5, kind.WATCHED)), blocking=True)

    assert dependent(wait, Label(((5, kind.UNLOCK),)))
    assert dependent(Label(((5, kind.UNLOCK),)), wait)
    assert dependent(wait, Label(((3, kind.WRITE),)))
    assert not dependent(wait, Label(((4, kind.UNLOCK),)))
    assert not dependent(wait, Label(((3, kind.READ),)))


def test_two_readers_and_a_writer_have_the_labels_of_their_outcomes() -> None:
    execution = run(semaphore_users(2, 1), "r0:1,r1:2,r0:1,w0:2")

    assert [event.label.mode for event in execution.events] == [
        kind.READ_LOCK, kind.READ_LOCK, kind.READ_UNLOCK, kind.READ_UNLOCK,
        kind.WRITE_LOCK, kind.WRITE_UNLOCK,
    ]  # fmt: skip


def test_a_label_can_be_sent_to_another_process() -> None:
    label = Label(((3, kind.READ_LOCK), (5, kind.READ)), blocking=True, killable=True)

    assert pickle.loads(pickle.dumps(label)) == label
