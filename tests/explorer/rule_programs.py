"""Random programs with a rule over two words that never has to hold."""

from collections.abc import Iterator

from hypothesis import strategies as st

from pfnlab.engine import Shared, compare_exchange, invariant, mutex, update, word
from tests.explorer.random_programs import Statement
from tests.explorer.small_programs import Build, Lab

WORDS = st.sampled_from(["x", "y", "z"])
VALUES = st.integers(0, 2)
SIMPLE = st.one_of(
    st.tuples(st.just("write"), WORDS, VALUES),
    st.tuples(st.just("write"), WORDS, VALUES),
    st.tuples(st.just("read"), WORDS),
    st.tuples(st.just("add"), WORDS),
    st.tuples(st.just("swap"), WORDS, VALUES, VALUES),
)
STATEMENTS = st.one_of(
    SIMPLE, SIMPLE, st.tuples(st.just("locked"), st.lists(SIMPLE, min_size=1, max_size=2))
)


@st.composite
def rule_programs(draw: st.DrawFn) -> list[list[Statement]]:
    tasks = draw(st.sampled_from([2, 2, 3]))
    size = {2: 4, 3: 2}[tasks]
    return [draw(st.lists(STATEMENTS, min_size=1, max_size=size)) for _ in range(tasks)]


class Memory(Shared):
    x = word(0)
    y = word(0)
    z = word(0)
    m = mutex()


@invariant
def never_both(lab: Lab) -> Iterator[str]:
    """x and y are never 1 at the same time."""
    if lab.memory.x == 1 and lab.memory.y == 1:
        yield "both are 1"


@invariant
def never_three(lab: Lab) -> Iterator[str]:
    """y and z never add up to more than 2."""
    if lab.memory.y and lab.memory.y + lab.memory.z > 2:
        yield "more than 2"


def ruled(code: list[list[Statement]]) -> Build:
    def build(program: Lab) -> None:
        memory = program.memory = Memory()
        for number, statements in enumerate(code):
            program.add_task(f"t{number}", lambda code=statements: _run(memory, code))
        program.always(never_both, never_three)

    return build


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
            case ("locked", inner):
                with memory.m:
                    _run(memory, inner)
