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
from pfnlab.engine.shared import show
from pfnlab.engine.signal import kill
from pfnlab.explorer.search import Search

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
    """What can come of a program: final states with all that tasks saw, and verdicts."""

    states: set[Any] = field(default_factory=set)
    seen: dict[str, list[Any]] = field(default_factory=dict)

    def final(self) -> set[Any]:
        """Final states of executions that broke no rule."""
        return {state for state in self.states if not isinstance(state, str)}

    def note(self, _search: Search, execution: Execution) -> None:
        if any(task.ready() for task in execution.program.tasks):
            return  # given up: no final state
        if execution.violation is not None:
            self.states.add(execution.violation.rule)
            return
        # A signal has a cell from its first use on, which may be in another execution.
        cells = tuple(
            (cell.name, show(cell.value))
            for cell in execution.cells
            if cell.value or not cell.name.endswith(".signal")
        )
        saw = tuple(tuple(self.seen.get(task.name, ())) for task in execution.program.tasks)
        self.states.add((tuple(sorted(cells)), saw))


def scenario_of(code: list[list[Statement]], outcomes: Outcomes) -> Scenario:
    def build(program: Program) -> None:
        memory = Memory()
        for number, statements in enumerate(code):
            program.add_task(f"t{number}", _task(memory, statements, f"t{number}", outcomes))

    return Scenario("random", "A random program.", build)


def _task(
    memory: Memory, statements: list[Statement], name: str, outcomes: Outcomes
) -> Callable[[], None]:
    def run() -> None:
        outcomes.seen[name] = []
        _run(memory, statements, outcomes.seen[name])

    outcomes.seen[name] = []
    return run


def _run(memory: Memory, statements: list[Statement], seen: list[Any]) -> None:
    for statement in statements:
        match statement:
            case ("read", name):
                seen.append(getattr(memory, name))
            case ("write", name, value):
                setattr(memory, name, value)
            case ("add", name):
                seen.append(update(memory, name, lambda old: (old + 1) % 3))
            case ("swap", name, old, new):
                seen.append(compare_exchange(memory, name, old, new))
            case ("kill", name):
                kill(name)
            case ("if", name, inner):
                if getattr(memory, name):
                    _run(memory, inner, seen)
            case ("choose", inner):
                seen.append(choose([0, 1]))
                if seen[-1]:
                    _run(memory, inner, seen)
            case ("section", kind, name, inner, released):
                _section(memory, kind, getattr(memory, name), inner, released, seen)


def _section(
    memory: Memory, kind: str, lock: Any, inner: list[Statement], released: bool, seen: list[Any]
) -> None:
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
    if kind.endswith("_try") or "killable" in kind:
        seen.append(taken)
        if not taken:
            return
    _run(memory, inner, seen)
    if released:
        getattr(lock, drop)()
        if kind == "downgrade":
            lock.up_read()
