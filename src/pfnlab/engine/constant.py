"""What code may keep outside of cells: values in which nothing can change.

What can change there is seen by nobody: no undo puts it back, no other order of its changes is
tried, and a loop that polls looks the same in every round.
"""

from dataclasses import fields, is_dataclass
from enum import Enum
from functools import partial
from types import BuiltinMethodType, FunctionType, MappingProxyType, MethodType, ModuleType
from typing import Any

from pfnlab.engine.cell import Cell, Handle, Transparent
from pfnlab.engine.errors import ModelError

# Of cells and Shared objects, whatever can change is in cells.  What a function has captured is
# not looked at.
_CONSTANT = (
    bool, bytes, complex, float, int, str, type, Cell, Enum, FunctionType, Handle,
    ModuleType, Transparent,
)  # fmt: skip


def changing(value: Any) -> str:
    """What can change in a value unseen, as "a list"; "" if it stays as it is."""
    if isinstance(value, _CONSTANT):
        return ""
    if isinstance(value, MethodType | BuiltinMethodType):
        return changing(value.__self__)
    if isinstance(value, partial):
        return _first(value.func, *value.args, *value.keywords.values())
    if isinstance(value, tuple | frozenset):
        return _first(*value)
    if isinstance(value, MappingProxyType):
        return _first(*value.values())
    kind = type(value)
    if _is_frozen(kind):
        return _first(*(getattr(value, each.name) for each in fields(value)))
    return _article(kind.__name__) if _can_change(kind) else ""


def must_stay(what: str, value: Any, place: str = "") -> None:
    """Raise ModelError for something that tasks keep outside of cells, and that can change."""
    if found := changing(value):
        raise ModelError(
            f"{what} has {found} in it, which can change where the explorer does not see it; use a "
            "field, or a tuple, a frozen dataclass or a Shared object",
            place,
        )


def _first(*parts: Any) -> str:
    return next(filter(None, map(changing, parts)), "")


def _is_frozen(kind: type) -> bool:
    # typeshed does not know where a dataclass keeps what it was made with
    return is_dataclass(kind) and bool(kind.__dataclass_params__.frozen)  # type: ignore[attr-defined]


def _can_change(kind: type) -> bool:
    """Whether objects of a class can; those that are equal by value, and have a hash, do not."""
    if kind.__hash__ is None or hasattr(kind, "__next__"):
        return True
    bases = kind.__mro__[:-1]
    if any("__eq__" in vars(base) for base in bases):
        return False
    return kind.__dictoffset__ != 0 or any(vars(base).get("__slots__") for base in bases)


def _article(name: str) -> str:
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"
