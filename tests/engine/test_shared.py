"""Shared objects: identity, fields, and the end of their life."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Generic, TypeVar

import pytest

from pfnlab.engine import (
    ModelError,
    Program,
    Shared,
    completion,
    condition,
    field,
    mutex,
    rw_semaphore,
    shared_list,
    word,
)
from pfnlab.engine.execution import Execution
from pfnlab.engine.schedule import follow
from pfnlab.engine.shared import free
from tests.engine.runs import broken, every_run, outcomes, rules_broken, run, values

T = TypeVar("T")


class Page(Shared):
    flags = field(0)
    count = word(1)

    def __init__(self, number: int = 0) -> None:
        self.number = number


class Table(Shared, freeable=True):
    entries = field(0)
    users = word(0)
    lock = mutex()


def test_the_same_creation_gives_the_same_object_in_every_execution() -> None:
    made: list[tuple[Page, Page]] = []

    def build(program: Program) -> None:
        program.add_task("one", lambda: made.append((Page(1), Page(1))))

    execution = Execution(Program(), build)
    follow(execution, "one:0")
    follow(execution, "one:0")

    assert made[0][0] is made[1][0]
    assert made[0][1] is made[1][1]
    assert made[0][0] is not made[0][1]


def test_objects_of_different_tasks_are_different() -> None:
    made: dict[str, Page] = {}

    def build(program: Program) -> None:
        for name in ("one", "two"):
            program.add_task(name, lambda name=name: made.setdefault(name, Page()) and None)

    run(build, "one:0,two:0")

    assert made["one"] is not made["two"]


def test_an_object_that_is_made_again_starts_with_its_first_values() -> None:
    seen: list[int] = []

    def build(program: Program) -> None:
        @program.task
        def task() -> None:
            page = Page()
            seen.append(page.flags)
            page.flags = 7
            page.count = 9

    execution = Execution(Program(), build)
    for _ in range(2):
        follow(execution, "task:3")

    assert seen == [0, 0]


def test_arguments_that_equal_those_of_another_execution_but_are_not_alike_are_refused() -> None:
    def build(program: Program) -> None:
        first = Page()

        @program.task
        def task() -> None:
            Page(1 if first.count == 1 else True)

        program.add_task("other", lambda: setattr(first, "count", 2))

    with pytest.raises(ModelError, match=r"the arguments of Page\(\) equal those of another"):
        every_run(build)


def test_an_undeclared_attribute_is_an_error_that_gives_the_right_spelling() -> None:
    def build(program: Program) -> None:
        page = Page()
        page.dirty = True  # type: ignore[attr-defined]

    with pytest.raises(ModelError) as caught:
        run(build)

    assert str(caught.value) == (
        "Page has no field dirty; declare it in the class, as in `dirty = field(...)`: "
        "only fields are seen by the explorer"
    )


def test_what_a_constructor_sets_and_is_no_field_is_a_constant() -> None:
    def build(program: Program) -> None:
        page = Page(3)
        assert page.number == 3
        page.number = 4

    with pytest.raises(ModelError, match="Page has no field number"):
        run(build)


@dataclass(frozen=True)
class Settings:
    sizes: tuple[int, ...] = (1, 2)
    limits: Any = None


@dataclass
class Counter:
    number: int = 0


class Keeper(Shared):
    def __init__(self, make: Callable[[], object]) -> None:
        self.constant = make()


@pytest.mark.parametrize(
    ("constant", "what"),
    [
        ([1], "a list"),
        ({}, "a dict"),
        ({1}, "a set"),
        (Counter(), "a Counter"),
        ((1, (Counter(),)), "a Counter"),
        (Settings(limits=[]), "a list"),
        ([].append, "a list"),
        (iter(()), "a tuple_iterator"),
        (random.Random(), "a Random"),
    ],
)
def test_a_constant_that_can_change_is_an_error(constant: Any, what: str) -> None:
    with pytest.raises(ModelError, match=rf"keeper1\.constant has {what} in it, which can change"):
        run(lambda _program: Keeper(lambda: constant) and None)


@pytest.mark.parametrize(
    "constant",
    [
        1,
        "a",
        (1, "b"),
        frozenset({1}),
        Settings(),
        None,
        len,
        Page,
        Fraction(1, 2),
        run,
        MappingProxyType({1: "a"}),
    ],
)
def test_a_constant_that_stays_as_it_is_is_none(constant: Any) -> None:
    run(lambda _program: Keeper(lambda: constant) and None)


def test_what_gives_access_to_a_member_may_be_kept() -> None:
    class Full(Shared):
        pages = shared_list()
        done = completion()
        queue = condition()
        sem = rw_semaphore()
        lock = mutex()

    def build(program: Any) -> None:
        full = Full()
        Keeper(lambda: (full.pages, full.done, full.queue, full.sem.read(), full.lock))
        program.pages = full.pages

    run(build)


def test_an_object_is_named_for_its_class_unless_it_names_itself() -> None:
    class Vma(Shared):
        flags = field(0)

        def __init__(self, name: str) -> None:
            self.name = name

    def build(program: Program) -> None:
        Page()
        Vma("vma")

    assert sorted(values(run(build))) == ["page1.count", "page1.flags", "vma.flags"]


def test_a_class_inherits_the_fields_of_its_base() -> None:
    class HugePage(Page):
        order = field(9)

    def build(program: Program) -> None:
        HugePage()

    assert values(run(build)) == {
        "hugepage1.flags": 0, "hugepage1.count": 1, "hugepage1.order": 9,
    }  # fmt: skip


def test_an_object_cannot_be_made_outside_of_a_scenario() -> None:
    run(lambda program: None)  # afterwards no task is running

    with pytest.raises(ModelError, match="used outside of a scenario and its tasks"):
        Page()


def test_a_use_after_a_free_is_a_finding() -> None:
    def build(program: Program) -> None:
        table = Table()

        @program.task
        def task() -> None:
            free(table)
            table.entries = 1

    result = every_run(build)

    assert result.violation is not None
    assert result.violation.rule == "no_use_after_free"
    assert result.violation.evidence == ("task uses table1, which has been freed.",)


@pytest.mark.parametrize("use", ["field", "word", "lock"])
def test_every_kind_of_member_is_a_use(use: str) -> None:
    def build(program: Program) -> None:
        table = Table()

        @program.task
        def task() -> None:
            free(table)
            if use == "field":
                table.entries = 1
            elif use == "word":
                table.users = 1
            else:
                table.lock.lock()

    assert rules_broken(build) == ["no_use_after_free"]


def test_freeing_twice_is_a_finding() -> None:
    def build(program: Program) -> None:
        table = Table()

        @program.task
        def task() -> None:
            free(table)
            free(table)

    assert rules_broken(build) == ["no_use_after_free"]


def test_a_use_that_nothing_orders_before_the_free_is_a_finding_even_if_it_came_first() -> None:
    def build(program: Program) -> None:
        table = Table()

        @program.task
        def user() -> None:
            table.entries = 1

        @program.task
        def owner() -> None:
            free(table)

    violation = broken(build, "user:1,owner:1").violation

    assert violation.rule == "no_use_after_free"
    assert violation.evidence == (
        "owner frees table1 in step 2; user used it before step 1, and no lock orders the two.",
    )


def test_a_free_that_a_lock_orders_after_the_last_use_is_no_finding() -> None:
    class Owner(Shared):
        lock = mutex()
        table = field(True, guarded_by="lock")

    def build(program: Program) -> None:
        table, owner = Table(), Owner()

        @program.task
        def user() -> None:
            with owner.lock:
                if owner.table:
                    table.entries = 1

        @program.task
        def destroyer() -> None:
            with owner.lock:
                owner.table = False
            free(table)

    assert every_run(build).verdict == "ok"


def test_an_object_that_was_freed_is_alive_again_in_the_next_execution() -> None:
    def build(program: Program) -> None:
        table = Table()

        @program.task
        def task() -> None:
            table.entries = 1
            free(table)

    execution = Execution(Program(), build)
    for _ in range(2):
        follow(execution, "task:1")
        assert execution.violation is None


def test_an_object_whose_class_is_not_freeable_cannot_be_freed() -> None:
    def build(program: Program) -> None:
        free(Page())

    with pytest.raises(ModelError, match="page1 cannot be freed; declare its class with freeable"):
        run(build)


def test_a_class_is_freeable_if_its_base_is() -> None:
    class Leaf(Table):
        pass

    done: list[bool] = []

    def build(program: Program) -> None:
        leaf = Leaf()

        @program.task
        def task() -> None:
            free(leaf)
            done.append(True)

    assert outcomes(build, lambda: True) == {True}
    assert done


class Base(Shared):
    f = field(1)


class Derived(Base):
    f = field(2)
    g = field(0)
    w = word(0)

    def __init__(self, f: int | None = None) -> None:
        if f is not None:
            self.f = f
        self.g = self.f + 1
        self.w = self.g + 1


@pytest.mark.parametrize(("given", "first"), [(None, (2, 3, 4)), (7, (7, 8, 9))])
def test_a_field_may_be_overridden_and_read_where_the_object_is_made(
    given: int | None, first: tuple[int, int, int]
) -> None:
    seen = []

    def build(program: Program) -> None:
        def task() -> None:
            made = Derived(given)
            made.f += 1
            seen.append((made.f - 1, made.g, made.w))

        program.add_task("a", task)
        program.add_task("b", task)

    every_run(build)
    assert set(seen) == {first} and len(seen) > 2


def test_a_lock_cannot_be_taken_where_the_object_is_made() -> None:
    class Locked(Shared):
        lock = mutex()

        def __init__(self) -> None:
            self.lock.lock()

    with pytest.raises(ModelError, match=r"Locked\.lock is used in __init__, where there is none"):
        every_run(lambda program: program.add_task("a", Locked))


def class_with(**body: Any) -> Callable[[], object]:
    return lambda: type("Device", (Shared,), body)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (class_with(w=word), r"Device\.w is the class word: write w = word\(\.\.\.\)"),
        (class_with(lock=mutex), r"Device\.lock is the class mutex: write lock = mutex"),
        (class_with(ws=[word(0)]), r"Device\.ws holds a word, which is a member only with a name"),
        (class_with(ws={1: field(0)}), r"Device\.ws holds a field, .* write ws0 = field\("),
        (class_with(log=[]), r"Device\.log has a list in it, which can change"),
    ],
)
def test_what_looks_like_a_member_of_a_class_and_is_none_is_an_error(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        make()


def test_a_member_may_be_put_on_a_class_later() -> None:
    class Device(Shared):
        pass

    for name in ("x", "y"):
        setattr(Device, name, word(0))

    def build(program: Program) -> None:
        device: Any = Device()

        @program.task
        def task() -> None:
            device.x = 1
            assert device.y == 0

    assert rules_broken(build) == []


def test_a_class_may_be_generic() -> None:
    class Box(Shared, Generic[T]):
        x = word(0)

    assert rules_broken(lambda program: program.add_task("a", lambda: Box().x)) == []


def test_an_argument_without_a_hash_is_an_error() -> None:
    class Device(Shared):
        def __init__(self, names: list[str]) -> None:
            self.names = tuple(names)

    with pytest.raises(
        ModelError, match=r"Device\(\) is given \(\['a'\],\): an object is known by"
    ):
        run(lambda _program: Device(["a"]) and None)


def test_a_guard_that_is_no_lock_is_an_error() -> None:
    class Guarded(Shared):
        lock = mutex()
        users = field(0, guarded_by="lokc")

    with pytest.raises(
        ModelError, match=r"Guarded\.users is guarded by 'lokc', and no class has a"
    ):
        run(lambda program: program.add_task("a", Guarded) and Guarded() and None)


def test_a_guard_may_be_a_lock_of_another_object() -> None:
    class Owner(Shared):
        owners_lock = mutex()

    class Guarded(Shared):
        users = field(0, guarded_by="owner.owners_lock")

    run(lambda _program: Guarded() and Owner() and None)
