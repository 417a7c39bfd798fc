"""Equal values, and whether a task can tell them apart."""

from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
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


class Keyed:
    """Equal by its key alone."""

    def __init__(self, key: int, note: str) -> None:
        self.key = key
        self.note = note

    def __eq__(self, other: object) -> bool:
        return isinstance(other, type(self)) and self.key == other.key

    def __hash__(self) -> int:
        return hash(self.key)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key!r}, {self.note!r})"


class Slotted(Keyed):
    __slots__ = ("key", "note")


@pytest.mark.parametrize(
    "value",
    [
        1, "a", None, 0.0, (1, (2, "b")), frozenset({1, 2}), Noted(1, "x"), Pair(1, 2),
        Keyed(1, "x"), Slotted(1, "x"), Decimal("1.0"), Fraction(1, 3),
    ],
)  # fmt: skip
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
        (Keyed(1, "x"), Keyed(1, "y")),
        (Slotted(1, "x"), Slotted(1, "y")),
        (Decimal("1.0"), Decimal("1.00")),
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
