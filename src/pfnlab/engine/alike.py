"""Whether equal values are alike in all that a task can tell of them.

A search takes equal results of a step for one result.  But 1 and True are equal, and so are 0.0 and
-0.0, and frozen objects that differ only in a field with compare=False; a task may do one thing for
one and another for the other.
"""

from dataclasses import fields, is_dataclass
from types import NoneType
from typing import Any, Final

_EXACT: Final = frozenset((bool, bytes, int, str, NoneType))
_FIELDS: Final[dict[type, tuple[str, ...]]] = {}  # of dataclasses


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
    if one != other:
        return False
    if isinstance(one, frozenset):
        partners = {each: each for each in other}
        return all(alike(each, partners[each]) for each in one)
    return all(alike(getattr(one, name), getattr(other, name)) for name in _names(kind))


def _names(kind: type) -> tuple[str, ...]:
    names = _FIELDS.get(kind)
    if names is None:
        its = fields(kind) if is_dataclass(kind) else ()
        names = _FIELDS[kind] = tuple([field.name for field in its])
    return names
