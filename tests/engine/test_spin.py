"""Loops that wait by looking are waits; loops that end by themselves are not touched."""

from functools import partial
from typing import Any, ClassVar

import pytest

from pfnlab import explore
from pfnlab.engine import (
    Program,
    Shared,
    compare_exchange,
    completion,
    field,
    mutex,
    update,
    wait_event,
    word,
)
from pfnlab.engine.execution import Execution
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.search import Search
from tests.engine import runs
from tests.explorer.oracles import Build, scenario


class Memory(Shared):
    x = word(0)
    y = word(0)
    lock = mutex()
    flag = field(False)
    done = completion()

    def __init__(self) -> None:
        self.name = "memory"


def tasks(*names: str) -> Build:
    def build(program: Program) -> None:
        memory = Memory()
        for place, run in enumerate(names):
            program.add_task(f"t{place}", partial(RUNS[run], memory))

    return build


def until_one(memory: Memory) -> None:
    while memory.x != 1:
        pass
    memory.y = 1


def until_any(memory: Memory) -> None:
    while not memory.x and not memory.y:
        pass


def until_locked(memory: Memory) -> None:
    while not memory.lock.trylock():
        pass
    memory.lock.unlock()


def until_set(memory: Memory) -> None:
    while not compare_exchange(memory, "x", 1, 2):
        pass


def until_it_was_set(memory: Memory) -> None:
    while update(memory, "x", lambda old: old and 2) != 1:
        pass


def waits_by_another_name(memory: Memory, wait: Any = until_one) -> None:
    wait(memory)


def sum_of_both(memory: Memory) -> None:
    while memory.x + memory.y < 3:
        pass


def set_one(memory: Memory) -> None:
    memory.x = 1


def set_and_take_back(memory: Memory) -> None:
    memory.x = 1
    memory.x = 0


def set_both(memory: Memory) -> None:
    memory.x = 1
    memory.y = 2


def counts_to_five(memory: Memory) -> None:
    rounds = 0
    while rounds < 5 and not memory.x:
        rounds += 1
    memory.y = rounds


def counts_in_a_list(memory: Memory) -> None:
    rounds: list[int] = []
    while len(rounds) < 5 and not memory.x:
        rounds.append(1)


def counts_with_an_iterator(memory: Memory) -> None:
    for _ in range(5):
        if memory.x:
            return


def counts_on_the_stack(memory: Memory) -> None:
    rounds: Any = 0
    while True:
        rounds = more((rounds, rounds := None, memory.x))
        if rounds > 5:
            return


def more(parts: tuple[int, None, int]) -> int:
    return parts[0] + 1


def counts_in_a_word(memory: Memory) -> None:
    while not memory.x and update(memory, "y", lambda old: old + 1) < 5:
        pass


def counts_by_exchange(memory: Memory) -> None:
    while not memory.y and memory.x < 5:
        compare_exchange(memory, "x", memory.x, memory.x + 1)


def counts_in_a_function(memory: Memory) -> None:
    def wait() -> None:
        wait.rounds += 1  # type: ignore[attr-defined]

    vars(wait)["rounds"] = 0
    while not memory.x and vars(wait)["rounds"] < 5:
        wait()


def counts_in_a_default(memory: Memory) -> None:
    def more(rounds: list[int] = []) -> int:  # noqa: B006
        rounds.append(1)
        return len(rounds)

    while not memory.x and more() % 6 < 5:
        pass


def takes_turns(memory: Memory) -> None:
    """Reads one word in two places, of which each must be told from the other."""
    while not memory.x and not memory.y and not memory.x:
        pass


def flips_a_local(memory: Memory) -> None:
    turn, rounds = True, 0.0
    while not memory.x:
        turn = not turn
        rounds += 0.5
        if rounds == 4.0:
            return


def flips_a_sign(memory: Memory) -> None:
    one, two = 0.0, 0.0
    while not (memory.x or memory.y):
        one, two = (one, -two) if str(two) == "0.0" else (-one, -two)
        if str(one) == str(two) == "-0.0":
            return


ROUNDS = [0]
rounds_made = 0


def counts_in_its_module(memory: Memory) -> None:
    ROUNDS[0] = 0
    while ROUNDS[0] < 5 and not memory.x:
        ROUNDS[0] += 1


def counts_in_a_global(memory: Memory) -> None:
    global rounds_made
    rounds_made = 0
    while rounds_made < 5 and not memory.x:
        rounds_made += 1


class Rounds:
    """Of some loop."""

    made = 0
    all: ClassVar[list[int]] = []


def counts_in_a_class(memory: Memory) -> None:
    Rounds.made = 0
    while Rounds.made < 5 and not memory.x:
        Rounds.made += 1


def counts_in_a_list_of_a_class(memory: Memory) -> None:
    Rounds.all.clear()
    while len(Rounds.all) < 5 and not memory.x:
        Rounds.all.append(0)


def counts_in_another_module(memory: Memory) -> None:
    runs.rounds = 0  # type: ignore[attr-defined]  # nobody else has it
    while runs.rounds < 5 and not memory.x:  # type: ignore[attr-defined]
        runs.rounds += 1  # type: ignore[attr-defined]


def waits_and_keeps_it_in_a_class(memory: Memory) -> None:
    while not memory.x:
        pass
    Rounds.made = 1


def look(memory: Memory) -> int:
    return memory.y


def counts_in_sorted(memory: Memory) -> None:
    sorted((memory,) * 5, key=look)


def counts_in_a_method(memory: Memory) -> None:
    [memory].__mul__(5).sort(key=lambda each: each.x)


def counts_in_map(memory: Memory) -> None:
    tuple(map(look, (memory,) * 5))


def counts_in_an_argument(memory: Memory) -> None:
    max(sum(map(look, (memory,) * 5)), memory.y)


def waits_by_functions(memory: Memory) -> None:
    while not (look(memory) if memory.x else looks_twice(memory, also=look(memory))):
        pass


def looks_twice(memory: Memory, also: int) -> int:
    return look(memory) + also


def waits_by_name(memory: Memory) -> None:
    while not bool(getattr(memory, "x")):  # noqa: B009
        pass


def remembers(memory: Memory) -> None:
    before = 0
    while memory.x != 1:
        before = memory.x
    memory.x = before


def remembers_too(memory: Memory) -> None:
    before = 0
    while memory.x != 0:
        before = memory.x
    memory.x = before


def adds_twice(memory: Memory) -> None:
    for _ in range(2):
        update(memory, "x", lambda old: (old + 1) % 3)


def is_never_woken(memory: Memory) -> None:
    memory.y = 2
    memory.done.wait_for_completion()


RUNS = {name: run for name, run in list(globals().items()) if callable(run)}
SPINS = ["until_one", "until_any", "until_locked", "sum_of_both", "takes_turns",
         "waits_by_functions", "waits_by_name", "until_set", "until_it_was_set",
         "waits_by_another_name", "waits_and_keeps_it_in_a_class"]  # fmt: skip
FINITE = [
    "counts_to_five", "counts_in_a_list", "counts_with_an_iterator", "counts_on_the_stack",
    "counts_in_a_word", "flips_a_local", "flips_a_sign", "counts_in_sorted", "counts_in_a_method",
    "counts_in_map", "counts_in_an_argument", "counts_in_a_function", "counts_by_exchange",
    "counts_in_a_default", "counts_in_its_module", "counts_in_a_global",
    "counts_in_a_class", "counts_in_a_list_of_a_class", "counts_in_another_module",
]  # fmt: skip


def named(*names: str) -> Build:
    return tasks(*names)


@pytest.mark.parametrize("name", [each for each in SPINS if each != "until_locked"])
def test_a_loop_that_nothing_ends_is_a_livelock(name: str) -> None:
    result = explore(scenario(named(name)))

    assert result.violation is not None
    assert result.violation.rule == "no_livelock"
    assert result.complete
    assert "will try again for ever; it looks at memory.x" in result.violation.evidence[0]


@pytest.mark.parametrize("name", FINITE)
def test_a_loop_that_ends_by_itself_ends_by_itself(name: str) -> None:
    result = explore(scenario(named(name)))

    assert (result.verdict, result.schedules) == ("ok", 1)


@pytest.mark.parametrize("name", FINITE)
def test_a_loop_that_ends_by_itself_makes_all_its_rounds(name: str) -> None:
    steps: list[str] = []

    def note(_search: Search, execution: Execution) -> None:
        steps.extend(done.op.verb for trail in execution.trails for done in trail)

    explore(scenario(named(name)), policy="exhaustive", progress=note)

    assert "spin" not in steps
    assert steps.count("read") >= 5


def finals(build: Build, policy: str) -> tuple[set[Any], set[str], bool]:
    """Final values, the rules that broke, and whether it was everything."""
    states = set()

    def note(_search: Search, execution: Execution) -> None:
        if not execution.broken:
            states.add(tuple((cell.name, cell.value) for cell in execution.cells))

    result = explore(scenario(build), policy=policy, progress=note)
    return states, {f.violation.rule for f in result.findings}, result.complete


@pytest.mark.parametrize("spin", SPINS)
@pytest.mark.parametrize("other", ["set_one", "set_and_take_back", "set_both", "until_locked"])
def test_the_search_of_a_spinning_program_ends_and_agrees_with_the_oracle(
    spin: str, other: str
) -> None:
    build = named(spin, other)

    found = finals(build, "dpor")
    assert found[2]
    assert found == finals(build, "exhaustive")


def takes_by_exchange(memory: Memory) -> None:
    while not compare_exchange(memory, "x", 0, 1):
        pass
    memory.y = memory.y + 1
    memory.x = 0


def takes_by_update(memory: Memory) -> None:
    while update(memory, "x", lambda old: 1):
        pass
    memory.y = memory.y + 1
    memory.x = 0


RUNS |= {"takes_by_exchange": takes_by_exchange, "takes_by_update": takes_by_update}


@pytest.mark.parametrize("other", ["takes_by_exchange", "takes_by_update"])
@pytest.mark.parametrize("policy", ["dpor", "exhaustive"])
def test_a_lock_made_of_an_atomic_word_is_a_lock(other: str, policy: str) -> None:
    states, rules, complete = finals(named("takes_by_update", other), policy)

    assert ([dict(state)["memory.y"] for state in states], rules, complete) == ([2], set(), True)


def waits_for_one(memory: Memory) -> None:
    wait_event(memory, "x", lambda x: x == 1)
    memory.y = 1


RUNS["waits_for_one"] = waits_for_one


@pytest.mark.parametrize("other", ["set_one", "set_and_take_back"])
def test_a_loop_has_the_outcomes_of_a_wait(other: str) -> None:
    spins = finals(named("until_one", other), "dpor")
    waits = finals(named("waits_for_one", other), "dpor")

    assert spins[0] == waits[0]
    assert bool(spins[1]) == bool(waits[1]) == (other == "set_and_take_back")


def looks_after(warmed_up: int) -> int:
    """How often a loop looks before it waits, where the code it runs has run so many times."""
    word.__get__.__code__ = word.__get__.__code__.replace()  # not specialized yet

    def reads(memory: Memory) -> None:
        for _ in range(warmed_up):
            assert memory.x == 0

    def build(program: Program) -> None:
        memory = Memory()
        program.add_task("first", lambda: reads(memory))
        program.add_task("then", lambda: until_one(memory))

    execution = Execution(Program(), build)
    machine = Machine(execution)
    for task in (0, 1):
        while machine.enabled(task):
            machine.make(task, 0)
    execution.end()
    return len(machine.events) - warmed_up


def test_a_loop_is_found_also_while_the_interpreter_specializes_its_code() -> None:
    assert {looks_after(times) for times in range(40)} == {2}


@pytest.mark.parametrize("policy", ["dpor", "exhaustive"])
def test_a_loop_for_ever_does_not_hide_that_another_task_is_never_woken(policy: str) -> None:
    build = scenario(named("is_never_woken", "until_one"))

    for rules, rule in ((["L1"], "no_livelock"), (["L2"], "no_deadlock"), (None, "no_livelock")):
        result = explore(build, policy=policy, rules=rules)

        assert [finding.violation.rule for finding in result.findings] == [rule]
        evidence = result.findings[0].violation.evidence
        assert len(evidence) == 1 + (rule == "no_livelock")
        assert evidence[-1].startswith("t0 waits in wait_for_completion for memory.done")


def test_a_loop_is_found_again_when_its_task_is_run_again() -> None:
    build = named("adds_twice", "remembers", "remembers_too")

    found = finals(build, "dpor")
    assert found[2]
    assert found == finals(build, "exhaustive")
