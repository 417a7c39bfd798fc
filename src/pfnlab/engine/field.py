"""Plain fields of shared objects: race-free by locking, or a finding."""

from collections.abc import Callable
from typing import Any, Generic, Self, TypeVar, overload

from pfnlab.engine.access import read_field, write_field
from pfnlab.engine.cell import Cell, show
from pfnlab.engine.shared import Member, Shared

T = TypeVar("T")


class field(Member, Generic[T]):
    """A plain field.  Accesses that no lock orders are a data race, which is a finding.

    guarded_by  the lock that protects it, for the reader and for messages
    watched     writes are visible steps, so that invariants may read the field
    traced      whether an access is a step of its own in a trace
    text        how a value is shown
    """

    def __init__(
        self,
        default: T,
        *,
        guarded_by: str = "",
        watched: bool = False,
        traced: bool = True,
        text: Callable[[Any], str] = show,
    ) -> None:
        self.default = default
        self.guarded_by = guarded_by
        self.watched = watched
        self.traced = traced or watched
        self.text = text

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        def make(store: Any, name: str) -> Cell:
            return Cell(
                store,
                name,
                watched=self.watched,
                traced=self.traced,
                guard=self.guarded_by,
                field=self.place,
                text=self.text,
            )

        return self._begin(owner, self.default, make)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> T: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | T:
        if owner is None:
            return self
        if not owner._ready:  # in its __init__
            first: T = vars(owner).get(self.attribute, self.default)
            return first
        result: T = read_field(self._cell(owner))
        return result

    def __set__(self, owner: Shared, value: T) -> None:
        if not owner._ready:
            vars(owner)[self.attribute] = value
        else:
            write_field(self._cell(owner), value)
