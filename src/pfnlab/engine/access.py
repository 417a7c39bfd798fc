"""How the code of a task reads and writes cells: plain fields, and atomic words."""

from collections.abc import Callable
from typing import Any

from pfnlab.engine import operation as op_
from pfnlab.engine.alike import alike
from pfnlab.engine.cell import Cell, show
from pfnlab.engine.current import observing
from pfnlab.engine.errors import ModelError
from pfnlab.engine.frozen import frozen
from pfnlab.engine.label import ADD, READ, WRITE, Label
from pfnlab.engine.operation import Operation
from pfnlab.engine.race import NO_DATA_RACE
from pfnlab.engine.step import perform, read_plain, write_plain

# ---- plain fields


def read_field(cell: Cell) -> Any:
    watch = observing()
    if watch is not None:
        if not (cell.watched or cell.atomic):
            raise ModelError(
                f"a rule reads {cell.name}, whose writes are no visible steps; "
                "declare the field with watched=True"
            )
        return watch.read(cell.number)
    return read_plain(cell, detail=lambda value: f"{cell.name} is {cell.text(value)}")


def write_field(cell: Cell, value: Any) -> None:
    replace_field(cell, lambda _old: value, lambda _old: f"{cell.name} = {cell.text(value)}")


def replace_field(
    cell: Cell, change: Callable[[Any], Any], detail: Callable[[Any], str], verb: str = "write"
) -> Any:
    """Set a cell to change(old) in one step; return the old value."""
    if not cell.watched:
        return write_plain(cell, change, verb, detail=detail)
    return perform(
        Operation(op_.REPLACE, verb, number=cell.number, act=change, value=cell.published,
                  label=Label(((cell.number, WRITE),)), target=cell, detail=detail,
                  rule=NO_DATA_RACE)
    )  # fmt: skip


# ---- atomic words


def read_word(cell: Cell) -> Any:
    watch = observing()
    if watch is not None:
        return watch.read(cell.number)
    op = cell.operations.get("read")
    return perform(_read(cell) if op is None else op)


def _read(cell: Cell) -> Operation:
    op = cell.operations["read"] = Operation(
        op_.READ, "read", number=cell.number, target=cell, label=Label(((cell.number, READ),)),
        detail=lambda value: f"{cell.name} is {show(value)}",
    )  # fmt: skip
    return op


def write_word(cell: Cell, value: Any) -> None:
    """A write counts as one even if the value stays the same."""
    key = ("write", type(value), value)
    try:
        op = cell.operations.get(key)
    except TypeError as error:
        raise ModelError(
            f"{cell.name} = {show(value)}: a word takes what can be hashed, as a tuple, not a list"
        ) from error
    if op is None:
        collection = cell.store.collection[cell.number]
        added = ((collection, ADD),) if collection >= 0 else ()
        op = cell.operations[key] = Operation(
            op_.WRITE, "write", number=cell.number, value=value, target=cell,
            label=Label(((cell.number, WRITE), *added)),
            detail=lambda _: f"{cell.name} = {show(value)}",
        )  # fmt: skip
    elif op.value is not value and not alike(op.value, value):
        raise ModelError(
            f"{cell.name} = {value!r}, where it was {op.value!r} before: they are equal, but not "
            "alike in all; use one of them"
        )
    perform(op)


def atomically(
    cells: tuple[Cell, ...],
    verb: str,
    act: Callable[[tuple[Any, ...]], tuple[tuple[Any, ...], Any]],
    *,
    detail: Callable[[Any], str] | None = None,
    idle: Callable[[Any], bool] | None = None,
) -> Any:
    """One atomic step on atomic words: read all, write those that `act` changes.

    `act` maps the values to (new values, result).  A word whose value stays the same
    counts as read only: nobody can tell the difference.  `idle` says of a result that none
    has changed: a loop of such steps waits for others.
    """
    return perform(
        Operation(op_.ATOMIC, verb, cells=tuple([cell.number for cell in cells]), act=frozen(act),
                  target=cells[0] if cells else None, detail=detail, idle=idle)
    )  # fmt: skip


def look_at_all(
    collection: Cell,
    verb: str,
    act: Callable[[tuple[Any, ...]], Any],
    *,
    detail: Callable[[Any], str] | None = None,
) -> Any:
    """One atomic step that reads every word of a collection; returns act(values)."""
    return perform(
        Operation(op_.LOOK, verb, number=collection.number, act=frozen(act), target=collection,
                  detail=detail, label=Label(((collection.number, READ),)))
    )  # fmt: skip
