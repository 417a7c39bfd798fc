"""Tasks that are declared to differ in their names only, and what contradicts that."""

import pytest

from pfnlab import explore
from pfnlab.engine import Program, Scenario, Shared, join, kill, mutex, start, update, word
from pfnlab.errors import ModelError


class Memory(Shared):
    x = word(0)
    m = mutex()


@pytest.mark.parametrize("names", [join, kill, start])
def test_a_task_that_another_one_names_is_not_interchangeable(names: object) -> None:
    """What waits for b comes after b's step, and not after the one of a that stands for it."""

    def build(program: Program) -> None:
        memory = Memory()

        def add_one() -> None:
            update(memory, "x", lambda old: old + 1)

        def other() -> None:
            assert callable(names)
            names("b")
            assert memory.x == 2

        for name in "ab":
            program.add_task(name, add_one, lazy=names is start)
        program.add_task("other", other)
        program.interchangeable("a", "b")

    with pytest.raises(ModelError, match="b is declared interchangeable, and a task names it"):
        explore(Scenario("named", "A task names another.", build))


def test_three_tasks_that_wait_for_ever_are_told_like_two() -> None:
    """Who has not begun stands behind the others at the end: its turn comes after theirs."""

    def build(program: Program) -> None:
        memory = Memory()

        def wait() -> None:
            with memory.m:
                while memory.x != 1:
                    pass

        for name in "abc":
            program.add_task(name, wait)
        program.interchangeable("a", "b", "c")

    result = explore(Scenario("wait", "Three tasks wait.", build))

    assert result.violation is not None
    assert (result.violation.rule, result.schedules) == ("no_livelock", 1)


@pytest.mark.parametrize("groups", [[("a", "a")], [("a", "b"), ("b", "c")]])
def test_a_task_is_in_one_group_once(groups: list[tuple[str, ...]]) -> None:
    def build(program: Program) -> None:
        for name in "abc":
            program.add_task(name, lambda: None)
        for group in groups:
            program.interchangeable(*group)

    with pytest.raises(ModelError, match="it is in a group already"):
        explore(Scenario("groups", "Groups.", build))
