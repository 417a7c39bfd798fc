"""Plain fields of shared objects: race-free by locking, or a finding."""

from collections.abc import Callable
from typing import Any, TypeVar

from pfnlab.engine.access import read_field, write_field
from pfnlab.engine.cell import Cell, show
from pfnlab.engine.shared import Shared, Value

T = TypeVar("T")


class field(Value[T]):
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

    def read(self, cell: Cell) -> Any:
        return read_field(cell)

    def write(self, cell: Cell, value: Any) -> None:
        write_field(cell, value)
