"""Random programs with plain fields, guarded properly or not, and loops that try again."""

from collections.abc import Callable

from hypothesis import strategies as st

from pfnlab.engine import (
    Program,
    Scenario,
    Shared,
    begin_trying,
    done_trying,
    field,
    mutex,
    rw_semaphore,
    try_again,
    word,
)
from tests.explorer.random_programs import Statement

FIELDS = st.sampled_from(["f", "g"])
WORDS = st.sampled_from(["x", "y"])
VALUES = st.integers(0, 2)
ACCESSES = st.one_of(
    st.tuples(st.just("look"), FIELDS),
    st.tuples(st.just("put"), FIELDS, VALUES),
    st.tuples(st.just("read"), WORDS),
    st.tuples(st.just("write"), WORDS, VALUES),
)
LOCKED = st.sampled_from(["mutex", "mutex", "mutex", "read", "write"])
BODIES = st.lists(ACCESSES, min_size=1, max_size=2)
STATEMENTS = st.one_of(
    ACCESSES,
    st.tuples(st.just("locked"), LOCKED, BODIES),
    st.tuples(st.just("locked"), LOCKED, BODIES),
    st.tuples(st.just("wait_for"), WORDS),
    st.tuples(st.just("spin_on_lock"), BODIES),
)


@st.composite
def plain_programs(draw: st.DrawFn) -> list[list[Statement]]:
    """Two or three tasks, small enough to be explored without reduction."""
    tasks = draw(st.sampled_from([2, 2, 3]))
    size = {2: 3, 3: 2}[tasks]
    return [draw(st.lists(STATEMENTS, min_size=1, max_size=size)) for _ in range(tasks)]


class Memory(Shared):
    f = field(0, guarded_by="m")
    g = field(0)
    x = word(0)
    y = word(0)
    m = mutex()
    s = rw_semaphore()


def plain_scenario(code: list[list[Statement]]) -> Scenario:
    def build(program: Program) -> None:
        memory = Memory()
        for number, statements in enumerate(code):
            program.add_task(f"t{number}", _task(memory, statements))

    return Scenario("plain", "A random program with plain fields.", build)


def _task(memory: Memory, statements: list[Statement]) -> Callable[[], None]:
    def run() -> None:
        for statement in statements:
            _run(memory, statement)

    return run


def _run(memory: Memory, statement: Statement) -> None:
    match statement:
        case ("look" | "read", name):
            getattr(memory, name)
        case ("put" | "write", name, value):
            setattr(memory, name, value)
        case ("locked", kind, inner):
            with {"mutex": lambda: memory.m, "read": memory.s.read, "write": memory.s.write}[
                kind
            ]():
                for each in inner:
                    _run(memory, each)
        case ("wait_for", name):
            begin_trying()
            while not getattr(memory, name):
                try_again()
            done_trying()
        case ("spin_on_lock", inner):
            begin_trying()
            while not memory.m.trylock():
                try_again()
            done_trying()
            for each in inner:
                _run(memory, each)
            memory.m.unlock()
