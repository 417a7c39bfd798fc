"""The dataclasses of a guest do what those of Python do."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from pfnlab.lab.inside import light_dataclasses


def kinds(module: Any) -> tuple[Any, Any, Any]:
    @module.dataclass(frozen=True)
    class Part:
        start: int
        end: int = 8

    @module.dataclass(frozen=True)
    class Other:
        start: int
        end: int = 8

    @module.dataclass
    class Whole:
        parts: list[Any] = module.field(default_factory=list)
        name: str = "whole"

    return Part, Other, Whole


def outcome(do: Callable[[], object]) -> object:
    """What came of it, with the class of an error."""
    try:
        return do()
    except (AttributeError, TypeError) as error:
        return type(error).__name__


def seen(module: Any) -> list[object]:
    part, other, whole = kinds(module)
    full = whole([part(1), (part(2, 3), {"k": part(4)})])
    return [
        repr(part(1)).rpartition(".")[2],
        part(1) == part(1, 8),
        part(1) == other(1),
        part(1) != part(2),
        hash(part(1)) == hash(part(end=8, start=1)),
        outcome(lambda: hash(whole())),
        outcome(lambda: setattr(part(1), "start", 2)),
        outcome(lambda: delattr(part(1), "start")),
        outcome(lambda: setattr(whole(), "name", "x")),
        outcome(part),
        outcome(lambda: part(1, 2, 3)),
        outcome(lambda: part(1, start=1)),
        outcome(lambda: part(1, size=1)),
        whole().parts is whole().parts,
        [field.name for field in module.fields(part)],
        module.replace(part(1), end=2) == part(1, 2),
        outcome(lambda: module.replace(part(1), size=2)),
        module.asdict(full),
        module.asdict(full)["parts"] is full.parts,
        part.__match_args__,
        part.end,
        hasattr(whole, "parts"),
    ]


def test_an_object_behaves_as_that_of_the_standard_library() -> None:
    assert seen(light_dataclasses) == seen(dataclasses)


@pytest.mark.parametrize("option", ["order", "slots", "kw_only"])
def test_what_it_cannot_do_is_refused(option: str) -> None:
    make: Any = light_dataclasses.dataclass
    with pytest.raises(TypeError, match=option):
        make(**{option: True})
