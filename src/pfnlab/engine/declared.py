"""Functions that a user declares: whether they can be called as they will be, and are alike."""

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType
from typing import Any

from pfnlab.engine.errors import ModelError


def must_take(function: Callable[..., Any], what: str, *names: str) -> None:
    """Raise ModelError unless a function takes these arguments, in this order."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # of a class of C
        return
    try:
        signature.bind(*names)
    except TypeError as error:
        its = [str(each.replace(annotation=each.empty)) for each in signature.parameters.values()]
        code = getattr(inspect.unwrap(function), "__code__", None)
        line = f", at line {code.co_firstlineno}," if code is not None else ""
        raise ModelError(
            f"{what}{line} must take ({', '.join(names)}), not ({', '.join(its)})"
        ) from error


def must_yield(function: Callable[..., Any], what: str) -> None:
    """Raise ModelError unless a rule is a generator."""
    if not inspect.isgeneratorfunction(function):
        raise ModelError(
            f"{what} must yield its evidence: what it sees when it is broken, else nothing"
        )


def difference(first: Any, second: Any) -> str:
    """In what two functions differ: in their code, or in a value that they have; "" if in none."""
    if isinstance(first, partial) and isinstance(second, partial):
        parts = [
            (each.func, *each.args, *sorted(each.keywords.items())) for each in (first, second)
        ]
        if len(parts[0]) != len(parts[1]):
            return "in their arguments"
        return next(filter(None, map(difference, *parts)), "")
    if isinstance(first, FunctionType) and isinstance(second, FunctionType):
        if first.__code__ != second.__code__:
            return "in their code"
        captured = zip(first.__closure__ or (), second.__closure__ or (), strict=True)
        values = [(one.cell_contents, other.cell_contents) for one, other in captured]
        defaults = zip(first.__defaults__ or (), second.__defaults__ or (), strict=True)
        return next(filter(None, [difference(*pair) for pair in (*values, *defaults)]), "")
    return "" if first is second or first == second else f"in a value: {first!r} and {second!r}"
