"""A task's code runs only for a history that nobody has seen."""

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pfnlab import ModelError, explore
from pfnlab.engine import Program, Shared, invariant, update, word
from pfnlab.engine.execution import Execution
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.optimal import Optimal
from pfnlab.explorer.trie import history
from tests.explorer.all_events import Lab, RandomProgram, random_program
from tests.explorer.literature import built
from tests.explorer.oracles import scenario


class Page(Shared):
    flags = word(0)

    def __init__(self, size: int = 1) -> None:
        self.size = size


class Table(Shared):
    page: word[Page | None] = word(None)


def publishers(program: Program) -> None:
    table = Table()

    def publish(size: int) -> None:
        page = Page(size)
        table.page = page
        assert table.page is not None

    program.add_task("one", lambda: publish(1))
    program.add_task("two", lambda: publish(2))


def test_objects_that_tasks_make_are_the_same_in_every_execution() -> None:
    execution = Execution(Program(), publishers)
    search = Optimal(execution)
    pages = set()
    executions = 0
    while search.next():
        executions += 1
        pages.add(execution.store.values[0])
        pages |= {
            result for actor in search.machine.actors for result in history(actor.node) if result
        }

    # Each reads its own page or the other's, in every order; there are only these two.
    assert executions > 2
    assert sorted(page.size for page in pages) == [1, 2]
    assert len(execution.objects) == 3


def trie_sizes(search: Optimal) -> list[int]:
    """How many operations each task has announced, by counting the nodes of its trie."""
    sizes = []
    for trie in search.machine.tries:
        size, left = 0, [trie.root()]
        while left:
            node = left.pop()
            size += node.length > 0
            left += node.children()
        sizes.append(size)
    return sizes


def searched(spec: str) -> tuple[Optimal, int]:
    search = Optimal(Execution(Program(), built(spec)))
    executions = 0
    while search.next():
        executions += 1
    return search, executions


def test_no_history_is_run_twice() -> None:
    search, executions = searched("mpat:4")

    # 384 executions of eight tasks; each lock and unlock has one result, so one history.
    assert executions == 384
    assert [trie.runs for trie in search.machine.tries] == [1] * 8
    assert [trie.grown for trie in search.machine.tries] == trie_sizes(search) == [2, 4] * 4


def test_code_is_begun_anew_only_to_leave_a_history_where_it_has_gone_on() -> None:
    search, executions = searched("lastzero:6")

    tries = search.machine.tries
    assert executions == 144
    assert [trie.grown for trie in tries] == trie_sizes(search)
    for trie in tries:
        branches = trie_branches(trie.root())
        assert trie.runs <= 1 + branches
    assert sum(trie.runs for trie in tries) < executions


def trie_branches(root: Any) -> int:
    """Results beyond the first one, over all nodes."""
    more, left = 0, [root]
    while left:
        node = left.pop()
        more += max(0, len(node.children()) - 1)
        left += node.children()
    return more


def test_prefixes_are_not_made_again() -> None:
    search, executions = searched("lastzero:6")

    longest = max(len(search.machine.events), 19)
    made = search.machine.taken_back + len(search.machine.events)
    assert made < executions * longest * 2 / 3


def chain(newest: Any, link: str, *names: str) -> list[tuple[Any, ...]]:
    """One of these and all before it."""
    found = []
    while newest is not None:
        found.append(tuple([getattr(newest, name) for name in names]))
        newest = getattr(newest, link)
    return found


def state(machine: Machine) -> tuple[Any, ...]:
    store = machine.store
    tasks = range(machine.tasks)
    return (
        list(store.values), [chain(change, "earlier", "event", "was") for change in store.newest],
        len(store.log), list(store.marks), store.event,
        [list(clock) for clock in store.clocks], list(store.started), list(store.ended),
        list(store.parked), list(store.retrying),
        [(id(actor.node), actor.steps, actor.born) for actor in machine.actors],
        [chain(actor.newest, "earlier", "position") for actor in machine.actors],
        list(machine.races),
        list(machine.watch.now),
        [chain(touch, "under", "position", "mode") for touch in machine.touched if touch],
        [machine.enabled(task) for task in tasks], [machine.blocked(task) for task in tasks],
        len(machine.execution.broken), len(machine.execution.heard),
    )  # fmt: skip


@pytest.mark.slow
@settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
@given(st.builds(random_program, st.randoms(use_true_random=False)), st.randoms())
def test_to_undo_a_step_restores_everything(program: RandomProgram, chance: Any) -> None:
    machine = Machine(Execution(Lab(), program))
    # Cells that tasks make on the way stay; so make them all first.
    walk(machine, chance)
    machine.undo(0)
    states = [state(machine)]
    for _ in range(12):
        if chance.random() < 0.3 and machine.events:
            depth = chance.randrange(len(machine.events))
            machine.undo(depth)
            del states[depth + 1 :]
            assert comparable(state(machine)) == comparable(states[depth])
        elif not step(machine, chance):
            continue
        else:
            states.append(state(machine))


def comparable(whole: tuple[Any, ...]) -> tuple[Any, ...]:
    """Without what is only ever made: values of cells that are new since are left out."""
    values, changes, *rest = whole
    used = [place for place, value in enumerate(values) if value is not None or changes[place]]
    return ([values[p] for p in used], [changes[p] for p in used], *rest)


def step(machine: Machine, chance: Any) -> bool:
    enabled = [task for task in range(machine.tasks) if machine.enabled(task)]
    if not enabled:
        return False
    task = chance.choice(enabled)
    machine.make(task, chance.randrange(machine.actors[task].node.op.options))
    return True


def walk(machine: Machine, chance: Any) -> None:
    while step(machine, chance):
        pass


RULED = RandomProgram(
    [[("write", "x", 2), ("write", "x", 0)], [("write", "y", 2), ("write", "y", 0)]], ruled=True
)


evaluated: list[None] = []


def test_a_rule_runs_once_for_all_states_in_which_it_reads_the_same() -> None:
    def build(program: Program) -> None:
        RULED(program)
        rule = program.invariants[0]

        def check(program: Program) -> Any:
            evaluated.append(None)
            return rule.check(program)

        program.invariants[0] = replace(rule, check=check)

    search = Optimal(Execution(Lab(), build))
    executions = 0
    while search.next():
        executions += 1

    # x is 0 or 2; y is read only where x is 2, and is 0 or 2 there.
    assert executions == 4
    assert len(evaluated) == 3


@pytest.mark.parametrize(
    "values",
    [(1, True), (True, 1), ((1,), (True,)), (0.0, -0.0), (frozenset({0}), frozenset({0.0}))],
)
def test_equal_results_that_are_not_alike_are_refused_with_their_line(
    values: tuple[Any, Any],
) -> None:
    def build(program: Program) -> None:
        page = Page()
        program.add_task("a", lambda: update(page, "flags", lambda _old: values[0]))
        program.add_task("b", lambda: update(page, "flags", lambda _old: values[1]))
        program.add_task("r", lambda: page.flags)

    with pytest.raises(ModelError, match="in another execution: they are equal, but") as caught:
        explore(scenario(build))

    assert re.fullmatch(r"test_trie\.py:\d+", caught.value.place)


@pytest.mark.parametrize("values", [((1,), [1]), (1, [1], 2)])
def test_a_result_that_cannot_be_hashed_is_refused_with_its_line(values: tuple[Any, ...]) -> None:
    def build(program: Program) -> None:
        page = Page()
        for number, value in enumerate(values):
            change = lambda _old, value=value: value  # noqa: E731
            program.add_task(f"t{number}", lambda change=change: update(page, "flags", change))
        program.add_task("r", lambda: page.flags)

    with pytest.raises(ModelError, match="which cannot be hashed") as caught:
        explore(scenario(build))

    assert re.fullmatch(r"test_trie\.py:\d+", caught.value.place)


def test_a_rule_that_tells_equal_values_apart_is_evaluated_for_each() -> None:
    def build(program: Program) -> None:
        page = Page()
        program.add_task("a", lambda: update(page, "flags", lambda _old: (1,)))
        program.add_task("b", lambda: update(page, "flags", lambda _old: (True,)))

        @invariant
        def never_true(_program: Program) -> Iterator[str]:
            """It is True."""
            flags: Any = page.flags
            if flags and flags[0] is True:
                yield "True"

        program.always(never_true)

    for policy in ("dpor", "exhaustive"):
        assert explore(scenario(build), policy=policy).verdict == "FAIL"
