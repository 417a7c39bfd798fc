"""What a guest has as `dataclasses`: as much of that as host/, workload.py and measured.py use.

Python's own writes the methods of each class as text and compiles it, and imports what it takes
to look at code.  By emulation that is half of all the time in which a guest imports what it runs.
Here a class shares its methods with the others; what they do is the same.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

__all__ = ["FrozenInstanceError", "asdict", "dataclass", "field", "fields", "replace"]

REQUIRED: Any = object()


class FrozenInstanceError(AttributeError):
    """A field of a frozen object was to be changed."""


class Field:
    """A field of a class, with the function that makes its default value, if it has one."""

    def __init__(self, name: str, default: Callable[[], Any] | None) -> None:
        self.name = name
        self.default = default


def field(*, default_factory: Callable[[], Any]) -> Any:
    """The field gets a default value of its own in each object."""
    return Field("", default_factory)


def dataclass(cls: Any = None, /, *, frozen: bool = False) -> Any:
    """Make one of a class that inherits from none."""
    if cls is None:
        return lambda decorated: dataclass(decorated, frozen=frozen)
    found = {}
    for name in cls.__annotations__:
        default = cls.__dict__.get(name, REQUIRED)
        if isinstance(default, Field):
            delattr(cls, name)
            found[name] = Field(name, default.default)
        elif default is REQUIRED:
            found[name] = Field(name, None)
        else:
            found[name] = Field(name, partial(_same, default))
    cls.__dataclass_fields__ = found
    for method in (__init__, __eq__, __repr__):
        setattr(cls, method.__name__, method)
    setattr(cls, "__match_args__", tuple(found))  # noqa: B010 (mypy knows better)
    cls.__hash__ = __hash__ if frozen else None
    if frozen:
        cls.__setattr__ = cls.__delattr__ = _refuse
    return cls


def fields(data: Any) -> tuple[Field, ...]:
    return tuple(data.__dataclass_fields__.values())


def asdict(data: Any) -> Any:
    """Fields by name, also those of objects inside; lists, tuples and dicts are copied."""
    if hasattr(data, "__dataclass_fields__"):
        return {name: asdict(value) for name, value in vars(data).items()}
    if isinstance(data, list | tuple):
        return type(data)(asdict(value) for value in data)
    if isinstance(data, dict):
        return {asdict(key): asdict(value) for key, value in data.items()}
    return data


def replace(data: Any, /, **changes: Any) -> Any:
    return type(data)(**{**vars(data), **changes})


def __init__(self: Any, /, *values: Any, **named: Any) -> None:
    known = self.__dataclass_fields__
    given = dict(zip(known, values, strict=False))
    if len(values) > len(known) or not named.keys() <= known.keys() - given.keys():
        raise TypeError(f"{type(self).__name__} takes {', '.join(known)}, each once")
    given.update(named)
    for name, each in known.items():
        if name in given:
            self.__dict__[name] = given[name]
        elif each.default is not None:
            self.__dict__[name] = each.default()
        else:
            raise TypeError(f"{type(self).__name__} needs {name}")


def __eq__(self: Any, other: object) -> Any:
    if type(other) is not type(self):
        return NotImplemented
    return vars(self) == vars(other)


def __hash__(self: Any) -> int:
    return hash(tuple(vars(self).values()))


def __repr__(self: Any) -> str:
    inside = ", ".join(f"{name}={value!r}" for name, value in vars(self).items())
    return f"{type(self).__qualname__}({inside})"


def _same(value: Any) -> Any:
    return value


def _refuse(self: Any, name: str, *_value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")
