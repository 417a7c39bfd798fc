"""A search that is saved and goes on later is the same search."""

import json
from typing import Any

import pytest

from pfnlab.catalogue import find_design, find_scenario
from pfnlab.engine import Program
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import NOTHING
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.state import BEGINNING, Twig, restore, save, state_from, twig_of
from pfnlab.explorer.trie import Step
from pfnlab.explorer.wakeup import LENT, Branch
from pfnlab.verdict import program_maker
from tests.explorer.parts import alone, counted, in_parts, told
from tests.explorer.test_slices import lastzero


def test_a_state_is_the_same_after_json() -> None:
    search = Optimal(Execution(Program(), lastzero(4)))
    for _ in range(10):
        search.next()
    state = save(search)

    assert state_from(json.loads(json.dumps(state))) == state


def test_a_restored_search_is_in_the_state_that_was_saved() -> None:
    search = Optimal(Execution(Program(), lastzero(4)))
    for _ in range(10):
        search.next()
    again = Optimal(Execution(Program(), lastzero(4)))

    restore(again, save(search))

    assert save(again) == save(search)


def test_a_search_saved_after_every_execution_counts_the_same() -> None:
    totals = in_parts(Program, lastzero(4), schedules=1, saved=1.0)

    assert (totals.schedules, totals.given_up) == (28, 0)


@pytest.mark.slow
def test_a_search_saved_after_every_execution_finds_the_same() -> None:
    make = program_maker(find_design("remap_on_fault"), None)
    build = find_scenario("zap_vs_fault")
    whole = alone(make, build)
    assert whole is not None

    saved = in_parts(make, build, schedules=1, saved=0.5)

    assert (counted(saved), told(saved)) == (counted(whole), told(whole))


def test_a_state_of_another_program_is_refused() -> None:
    search = Optimal(Execution(Program(), lastzero(3)))
    (frame,) = BEGINNING.frames
    strange = BEGINNING._replace(frames=(frame._replace(tree=(Twig(((17, 0, True),)),)),))

    with pytest.raises(ModelError, match="does not fit"):
        restore(search, strange)


@pytest.mark.parametrize("task", ["1", -1, None, 1.0, True])
def test_what_is_no_number_of_a_task_is_no_state(task: Any) -> None:
    (frame,) = BEGINNING.frames
    state = BEGINNING._replace(frames=(frame._replace(tree=(Twig(((task, 0, True),)),)),))

    with pytest.raises(ValueError, match="is no number of a task or choice"):
        state_from(json.loads(json.dumps(state)))


def test_a_row_that_was_taken_apart_is_saved_as_one() -> None:
    steps = tuple(Step(task, 0, NOTHING) for task in range(3_000))
    whole, apart = Branch(steps), Branch(steps)
    tree = apart.after
    while tree:
        (branch,) = tree
        tree = branch.after

    assert twig_of(apart) == twig_of(whole)
    branch.lent = LENT
    last = twig_of(apart).after[0]
    assert (last.row[-1][0], last.lent, len(twig_of(apart).row)) == (2_999, LENT, 2_999)
