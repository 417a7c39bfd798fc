"""Small random programs over everything the engine offers, as hypothesis strategies."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from pfnlab.engine import (
    Program,
    Scenario,
    Shared,
    choose,
    compare_exchange,
    mutex,
    rw_semaphore,
    update,
    word,
)
from pfnlab.engine.execution import Execution
from pfnlab.engine.signal import kill
from pfnlab.explorer.search import Search
from tests.explorer.brute_force import outcome_of, results_of

Statement = tuple[Any, ...]

WORDS = st.sampled_from(["x", "y"])
VALUES = st.integers(0, 2)
SIMPLE = st.one_of(
    st.tuples(st.just("read"), WORDS),
    st.tuples(st.just("write"), WORDS, VALUES),
    st.tuples(st.just("add"), WORDS),
    st.tuples(st.just("swap"), WORDS, VALUES, VALUES),
    st.tuples(st.just("kill"), st.sampled_from(["t0", "t1"])),
)
SECTIONS = st.sampled_from(
    ["mutex", "mutex_try", "read", "write", "read_try", "write_try", "downgrade", "fair_read",
     "fair_write", "killable_read", "killable_write", "fair_killable_read", "fair_killable_write"]
)  # fmt: skip


@st.composite
def blocks(draw: st.DrawFn, size: int, held: frozenset[str] = frozenset()) -> list[Statement]:
    """A list of statements with at most `size` visible steps, or so."""
    out: list[Statement] = []
    while size > 0:
        shape = draw(st.sampled_from(["simple", "simple", "section", "section", "if", "choose"]))
        if shape == "section" and size >= 2:
            kind = draw(SECTIONS)
            place = "f" if kind.startswith("fair") else "m" if kind.startswith("mutex") else "s"
            name = place + draw(st.sampled_from(["1", "2"]))
            if name in held:
                size -= 1
                continue
            inner = draw(blocks(draw(st.integers(0, min(2, size - 2))), held | {name}))
            kept = draw(st.integers(0, 19)) == 0  # now and then, never released
            out.append(("section", kind, name, inner, not kept))
            size -= 2 + len(inner)
        elif shape == "if" and size >= 2:
            out.append(("if", draw(WORDS), draw(blocks(1, held))))
            size -= 2
        elif shape == "choose" and size >= 3:
            out.append(("choose", draw(blocks(1, held))))
            size -= 3
        else:
            out.append(draw(SIMPLE))
            size -= 1
    return out


@st.composite
def programs(draw: st.DrawFn) -> list[list[Statement]]:
    """Two or three tasks, small enough to be explored without reduction."""
    tasks = draw(st.sampled_from([2, 2, 3]))
    size = {2: 5, 3: 3}[tasks]
    return [draw(blocks(draw(st.integers(1, size)))) for _ in range(tasks)]


class Memory(Shared):
    x = word(0)
    y = word(0)
    m1 = mutex()
    m2 = mutex()
    s1 = rw_semaphore()
    s2 = rw_semaphore()
    f1 = rw_semaphore(fair=True)
    f2 = rw_semaphore(fair=True)


@dataclass
class Outcomes:
    """What can come of a program: final states with all that tasks learned, and verdicts."""

    states: set[Any] = field(default_factory=set)

    def final(self) -> set[Any]:
        """Final states of executions that broke no rule."""
        return {state for state in self.states if not isinstance(state, str)}

    def note(self, search: Search, execution: Execution) -> None:
        """As the code of tasks does not run in every execution, it is not asked."""
        reduced = search.reduced
        if reduced.in_vain if reduced is not None else bool(execution.enabled()):
            return  # given up: no final state
        if execution.violation is not None:
            self.states.add(execution.violation.rule)
        elif reduced is not None:
            self.states.add(outcome_of(execution, results_of(reduced)))
        else:
            self.states.add(outcome_of(execution, learned(execution)))


def learned(execution: Execution) -> list[tuple[Any, ...]]:
    """What each task has been told, of an execution in which their code runs."""
    return [tuple(done.result for done in trail) for trail in execution.trails]


def scenario_of(code: list[list[Statement]]) -> Scenario:
    def build(program: Program) -> None:
        memory = Memory()
        for number, statements in enumerate(code):
            program.add_task(f"t{number}", _task(memory, statements))

    return Scenario("random", "A random program.", build)


def _task(memory: Memory, statements: list[Statement]) -> Callable[[], None]:
    return lambda: _run(memory, statements)


def _run(memory: Memory, statements: list[Statement]) -> None:
    for statement in statements:
        match statement:
            case ("read", name):
                getattr(memory, name)
            case ("write", name, value):
                setattr(memory, name, value)
            case ("add", name):
                update(memory, name, lambda old: (old + 1) % 3)
            case ("swap", name, old, new):
                compare_exchange(memory, name, old, new)
            case ("kill", name):
                kill(name)
            case ("if", name, inner):
                if getattr(memory, name):
                    _run(memory, inner)
            case ("choose", inner):
                if choose([0, 1]):
                    _run(memory, inner)
            case ("section", kind, name, inner, released):
                _section(memory, kind, getattr(memory, name), inner, released)


def _section(memory: Memory, kind: str, lock: Any, inner: list[Statement], released: bool) -> None:
    take, drop = {
        "mutex": ("lock", "unlock"),
        "mutex_try": ("trylock", "unlock"),
        "read": ("down_read", "up_read"),
        "write": ("down_write", "up_write"),
        "read_try": ("down_read_trylock", "up_read"),
        "write_try": ("down_write_trylock", "up_write"),
        "downgrade": ("down_write", "downgrade_write"),
        "fair_read": ("down_read", "up_read"),
        "fair_write": ("down_write", "up_write"),
        "killable_read": ("down_read_killable", "up_read"),
        "killable_write": ("down_write_killable", "up_write"),
        "fair_killable_read": ("down_read_killable", "up_read"),
        "fair_killable_write": ("down_write_killable", "up_write"),
    }[kind]
    taken = getattr(lock, take)()
    if taken is False:
        return
    _run(memory, inner)
    if released:
        getattr(lock, drop)()
        if kind == "downgrade":
            lock.up_read()
