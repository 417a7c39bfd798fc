"""Functions that a step calls: as they are when it is announced.

A step may be made many times, in many states, and long after the code that has announced it went
on.  What the function captured must be the same each time.
"""

import dis
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from types import CellType, CodeType, FunctionType
from typing import Any, TypeVar

from pfnlab.engine.constant import changing
from pfnlab.engine.errors import ModelError, defined_at

R = TypeVar("R")
CONTAINERS = (list, dict, set, bytearray)
FROZEN = "is_frozen"  # marks a function that is one of these copies
CHANGES = (
    "can change before the step is made; take what is needed of it into a variable first, as in "
    "`number = counter.number`"
)
ASSIGNS = ("STORE_DEREF", "DELETE_DEREF")


def frozen(function: Callable[..., R]) -> Callable[..., R]:
    """The function, with the local variables that it captures as they are now.

    Lists, dicts, sets and functions among them are copied.  Raises ModelError for a function that
    assigns to one of them or captures something else that can change, and later if it changes one
    of those copies.
    """
    if not isinstance(function, FunctionType):
        if what := changing(function):
            raise ModelError(f"{function!r} has {what} in it, which {CHANGES}")
        return function
    if not function.__closure__ and not function.__defaults__:
        return function
    copies = _Copies()
    copy: Callable[..., R] = copies.function(function)
    vars(copy)[FROZEN] = True
    if not copies.made:
        return copy
    name = _name(function)

    def watched(*values: Any) -> R:
        result = copy(*values)
        if any(its != was for its, was in copies.made):
            raise ModelError(
                f"{name} changes what it has captured; it is called whenever the step is tried, "
                "so it must only return something"
            )
        return result

    vars(watched)[FROZEN] = True
    return watched


def remembering_nothing(rule: Callable[..., Any], what: str) -> Callable[..., Any]:
    """A rule, which must not keep anything from one call to the next.

    It is not called again for values that it has seen, nor after each step of each order.  Raises
    ModelError for one that assigns to variables around it or has captured what can change, and
    later if a list, dict or set that it has captured does.
    """
    if not isinstance(rule, FunctionType):
        return rule
    code = rule.__code__
    kept = _assigned(code) or _set_in_module(code)
    containers: list[tuple[str, Any, Any]] = []
    for variable, captured in zip(code.co_freevars, rule.__closure__ or (), strict=True):
        with suppress(ValueError):  # not assigned yet
            value = captured.cell_contents
            if type(value) in CONTAINERS:
                containers.append((variable, value, value.copy()))
            elif found := changing(value):
                kept = kept or f"{variable}, {found}"

    def remembers(what_it_keeps: str) -> ModelError:
        return ModelError(
            f"{what} keeps {what_it_keeps}, which can change from one call to the next, and rules "
            "are not called again for what they have seen; keep it in a word or a watched field",
            defined_at(rule),
        )

    if kept:
        raise remembers(kept)
    if not containers:
        return rule

    def watched(*values: Any) -> Iterator[object]:
        yield from rule(*values)
        for variable, value, before in containers:
            if value != before:
                raise remembers(f"{variable}, a {type(value).__name__}")

    return watched


class _Copies:
    """Of one function and all that it captures, each made once."""

    def __init__(self) -> None:
        self.known: dict[FunctionType, FunctionType] = {}
        self.made: list[tuple[Any, Any]] = []  # containers: the copy, and what it must be like

    def function(self, function: FunctionType) -> FunctionType:
        if function in self.known:
            return self.known[function]
        if FROZEN in vars(function):
            return function
        code = function.__code__
        if assigned := _assigned(code):
            raise ModelError(
                f"{_name(function)} assigns to {assigned}; it is called whenever the step is "
                "tried, so it must only return something"
            )
        cells = tuple([CellType() for _ in code.co_freevars])
        defaults = tuple([self.value(value) for value in function.__defaults__ or ()])
        copy = FunctionType(code, function.__globals__, function.__name__, defaults or None, cells)
        copy.__kwdefaults__ = function.__kwdefaults__
        self.known[function] = copy
        for variable, cell, captured in zip(
            code.co_freevars, cells, function.__closure__ or (), strict=True
        ):
            try:
                value = captured.cell_contents
            except ValueError:  # not assigned yet
                continue
            cell.cell_contents = self.value(value)
            _must_stay(function, variable, value)
        return copy

    def value(self, value: Any) -> Any:
        if type(value) is FunctionType:
            return self.function(value) if value.__closure__ else value
        if type(value) in CONTAINERS:
            copy = value.copy()
            self.made.append((copy, value.copy()))
            return copy
        return value


def _must_stay(function: FunctionType, variable: str, value: Any) -> None:
    """Of a container its items must, as it is copied."""
    parts: Any = (value,)
    if type(value) in CONTAINERS:
        parts = value.values() if isinstance(value, dict) else value
    elif isinstance(value, FunctionType):
        return
    for part in parts:
        if what := changing(part):
            raise ModelError(
                f"{_name(function)} has captured {variable} with {what}, which {CHANGES}"
            )


@cache
def _assigned(code: CodeType) -> str:
    """The first variable of a function around it that code assigns to, or deletes; or ""."""
    for instruction in dis.get_instructions(code):
        if instruction.opname in ASSIGNS and instruction.argval in code.co_freevars:
            return str(instruction.argval)
    for inner in code.co_consts:
        if isinstance(inner, CodeType) and (name := _assigned(inner)) in code.co_freevars:
            return name
    return ""


@cache
def _set_in_module(code: CodeType) -> str:
    """The first variable of its module that code assigns to; or ""."""
    stores = (each for each in dis.get_instructions(code) if each.opname == "STORE_GLOBAL")
    return next((str(each.argval) for each in stores), "")


def _name(function: FunctionType) -> str:
    code = function.__code__
    named = "a lambda" if code.co_name == "<lambda>" else f"{code.co_name}()"
    return f"{named} at line {code.co_firstlineno}"
