"""A list that tasks share: one cell that holds a tuple."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, Self, TypeVar, overload

from pfnlab.engine.access import read_field, replace_field
from pfnlab.engine.cell import Cell, Handle, show
from pfnlab.engine.errors import ModelError
from pfnlab.engine.label import READ as LOOKED
from pfnlab.engine.label import Label
from pfnlab.engine.operation import READ, Operation
from pfnlab.engine.shared import Member, Shared
from pfnlab.engine.step import perform

T = TypeVar("T")


class SharedList(Handle, Generic[T]):
    """What a `shared_list()` attribute gives: each call reads or replaces the whole list.

    Iterating looks at the list once, so removing while iterating is safe, as with
    list_for_each_entry_safe().
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell

    def _items(self) -> tuple[T, ...]:
        items: tuple[T, ...] = read_field(self.cell)
        return items

    def __iter__(self) -> Iterator[T]:
        return iter(self._items())

    def __contains__(self, item: object) -> bool:
        return item in self._items()

    def __len__(self) -> int:
        return len(self._items())

    def __bool__(self) -> bool:
        return bool(self._items())

    def rcu_read(self) -> tuple[T, ...]:
        """The whole list, read without its lock: a visible step, and never a data race.

        What a writer did before it put an item in is ordered before this; whatever it
        does to the item later is not.
        """
        if not self.cell.published:
            raise ModelError(f"{self.cell.name} is not declared with rcu=True")

        items: tuple[T, ...] = perform(
            Operation(READ, "rcu_read", number=self.cell.number, target=self.cell,
                      label=Label(((self.cell.number, LOOKED),)), detail=lambda _: self.cell.name)
        )  # fmt: skip
        return items

    def append(self, item: T) -> None:
        self._replace("append", item, lambda old: (*old, item))

    def insert_after(self, item: T, before: T) -> None:
        """Insert an item right behind another one."""

        def insert(old: tuple[T, ...]) -> tuple[T, ...]:
            place = old.index(before) + 1 if before in old else 0
            return (*old[:place], item, *old[place:])

        if before not in self._replace("insert", item, insert):
            raise ModelError(f"{self.cell.name}.insert_after({item}): {before} is not in the list")

    def remove(self, item: T) -> None:
        """Take one item out; if it was put in twice, it is still in once."""

        def without(old: tuple[T, ...]) -> tuple[T, ...]:
            place = old.index(item) if item in old else len(old)
            return (*old[:place], *old[place + 1 :])

        if item not in self._replace("remove", item, without):
            raise ModelError(f"{self.cell.name}.remove({item}): it is not in the list")

    def _replace(
        self, verb: str, item: T, change: Callable[[tuple[T, ...]], tuple[T, ...]]
    ) -> tuple[T, ...]:
        old: tuple[T, ...] = replace_field(
            self.cell, change, lambda _old: f"{self.cell.name} {verb} {item}"
        )
        return old


class shared_list(Member):
    """A list as a field of a shared object; the arguments are those of `field`.

    `rcu` is for a list that is also read without its lock, by rcu_read(): writes are then
    visible steps.
    """

    def __init__(
        self, *, guarded_by: str = "", watched: bool = False, traced: bool = True, rcu: bool = False
    ) -> None:
        self.guarded_by = guarded_by
        self.watched = watched or rcu
        self.published = rcu
        self.traced = traced or watched

    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        def make(store: Any, name: str) -> Cell:
            return Cell(
                store,
                name,
                (),
                watched=self.watched,
                traced=self.traced,
                published=self.published,
                guard=self.guarded_by,
                field=self.place,
                text=show,
            )

        return self._begin(owner, (), make)

    @overload
    def __get__(self, owner: None, kind: type) -> Self: ...
    @overload
    def __get__(self, owner: Shared, kind: type) -> SharedList[Any]: ...
    def __get__(self, owner: Shared | None, kind: type) -> Self | SharedList[Any]:
        return self if owner is None else SharedList(self._cell(owner))

    def __set__(self, owner: Shared, value: object) -> None:
        raise ModelError(
            f"{owner.name}.{self.attribute} is a shared list; use append() and remove()"
        )
