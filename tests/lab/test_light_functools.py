"""The functools of a guest do what Python's own do, and have the rest of them."""

import functools
import sys
from typing import Any

import pytest

from pfnlab.lab.inside import light_functools


@pytest.mark.parametrize("module", [functools, light_functools])
def test_a_cached_function_is_called_once_for_each_argument(module: Any) -> None:
    called = []

    @module.cache
    def twice(number: int) -> int:
        """Of a number."""
        called.append(number)
        return 2 * number

    assert [twice(1), twice(2), twice(1)] == [2, 4, 2]
    assert called == [1, 2]
    assert tuple(twice.cache_info()) == (1, 2, None, 2)
    twice.cache_clear()
    assert twice(1) == 2
    assert called == [1, 2, 1]
    assert (twice.__name__, twice.__doc__) == ("twice", "Of a number.")


@pytest.mark.parametrize("module", [functools, light_functools])
def test_a_wrapper_passes_for_what_it_wraps(module: Any) -> None:
    def wrapped() -> None:
        """What it does."""

    wrapped.mark = 1  # type: ignore[attr-defined]

    @module.wraps(wrapped)
    def wrapper() -> None:
        pass

    assert (wrapper.__name__, wrapper.__doc__) == ("wrapped", "What it does.")
    assert (wrapper.mark, wrapper.__wrapped__) == (1, wrapped)

    @module.wraps(wrapped, assigned=("__doc__",), updated=())
    def other() -> None:
        pass

    assert (other.__name__, other.__doc__) == ("other", "What it does.")
    assert not hasattr(other, "mark")


def test_what_it_does_not_have_is_that_of_python(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, light_functools.WHOLE, functools)

    assert light_functools.singledispatch is functools.singledispatch
    assert light_functools.partial is functools.partial
    with pytest.raises(AttributeError, match="no_such"):
        _ = light_functools.no_such
