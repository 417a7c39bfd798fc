"""What can go wrong with a program that is explored, as opposed to in it.

A kernel event is never a Python exception: it is a return value or a `Violation`.
"""

from pfnlab.errors import ModelError

__all__ = ["Abandoned", "BadSchedule", "ModelError", "Nondeterminism", "defined_at"]


def defined_at(function: object) -> str:
    """The place of a function, for an error about what it returned."""
    code = getattr(function, "__code__", None)
    return f"{code.co_filename}:{code.co_firstlineno}" if code is not None else ""


class Nondeterminism(ModelError):
    """The same schedule did something else: some state is not in engine cells."""


class BadSchedule(ModelError):
    """A schedule cannot be read, or the program cannot follow it."""


class Abandoned(BaseException):
    """Ends a parked task when its execution is over; programs never see it."""
