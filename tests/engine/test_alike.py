"""Equal values, and whether a task can tell them apart."""

from dataclasses import dataclass, field
from typing import Any, NamedTuple

import pytest

from pfnlab.engine.alike import alike


@dataclass(frozen=True)
class Noted:
    number: int
    note: str = field(default="", compare=False)


class Pair(NamedTuple):
    one: int
    two: int


@pytest.mark.parametrize(
    "value", [1, "a", None, 0.0, (1, (2, "b")), frozenset({1, 2}), Noted(1, "x"), Pair(1, 2)]
)
def test_a_value_is_like_a_copy_of_it(value: Any) -> None:
    copy = eval(repr(value), globals())

    assert alike(value, copy)
    assert alike((value,), (copy,))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (1, True),
        (1, 1.0),
        (0.0, -0.0),
        (0j, -0j),
        ((1,), (True,)),
        ((1, (0,)), (1, (False,))),
        (frozenset({1}), frozenset({True})),
        (Noted(1, "x"), Noted(1, "y")),
        (Noted(1), Noted(True)),
        (Pair(1, 2), (1, 2)),
        (Pair(1, 2), Pair(True, 2)),
    ],
)
def test_equal_values_that_can_be_told_apart_are_not_alike(one: Any, other: Any) -> None:
    assert one == other
    assert not alike(one, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [(1, 2), ((1,), (1, 2)), (frozenset({1}), frozenset({2})), (Noted(1), Noted(2))],
)
def test_values_that_differ_are_not_alike(one: Any, other: Any) -> None:
    assert not alike(one, other)
