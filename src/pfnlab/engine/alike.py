"""Whether equal values are alike in all that a task can tell of them.

A search takes equal results of a step for one result.  But 1 and True are equal, and so are 0.0 and
-0.0, and objects whose class leaves something out when it compares; a task may do one thing for one
and another for the other.
"""

from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Final

from pfnlab.engine.cell import Transparent

_EXACT: Final = frozenset((bool, bytes, int, str, NoneType))


def alike(one: Any, other: Any) -> bool:
    """Whether two values are equal, and nothing tells them apart."""
    if one is other:
        return True
    kind = type(one)
    if kind is not type(other):
        return False
    if kind in _EXACT:
        return bool(one == other)
    if kind is float or kind is complex:
        return repr(one) == repr(other)
    if isinstance(one, tuple):
        if len(one) != len(other):
            return False
        for place in range(len(one)):  # all() would cost three times as much
            if one[place] is not other[place] and not alike(one[place], other[place]):
                return False
        return True
    if isinstance(one, Transparent) or one != other:
        return False
    if isinstance(one, frozenset):
        partners = {each: each for each in other}
        return all(alike(each, partners[each]) for each in one)
    parts, others = _parts(one), _parts(other)
    if parts is None or others is None:
        return repr(one) == repr(other)
    return parts.keys() == others.keys() and all(
        alike(part, others[name]) for name, part in parts.items()
    )


def _parts(value: Any) -> dict[str, Any] | None:
    """What an object has, by name; None if that cannot be seen, as in a class written in C."""
    kind = type(value)
    if is_dataclass(kind):
        return {each.name: getattr(value, each.name) for each in fields(kind)}
    slots = [vars(base).get("__slots__") for base in kind.__mro__]
    if not hasattr(value, "__dict__") and not any(slots):
        return None
    names = [name for each in slots for name in ((each,) if isinstance(each, str) else each or ())]
    parts = {name: getattr(value, name) for name in names if hasattr(value, name)}
    return {**parts, **getattr(value, "__dict__", {})}
