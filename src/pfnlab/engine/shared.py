"""Shared objects and their fields.

    class Device(Shared):
        lock = mutex()
        users = field(0, guarded_by="lock")
        state = word("off")

An ordinary class to look at.  Each field is a cell of the object; reading or writing
it is a step.  Attributes that `__init__` sets and that are no fields are constants.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterable
from typing import Any, Generic, Self, TypeVar, overload

from pfnlab.engine.alike import alike
from pfnlab.engine.cell import Cell, Transparent
from pfnlab.engine.constant import must_stay
from pfnlab.engine.current import observing, running, running_task
from pfnlab.engine.errors import ModelError
from pfnlab.engine.operation import INIT, Operation
from pfnlab.engine.race import NO_USE_AFTER_FREE
from pfnlab.engine.step import perform, read_plain, violate, write_plain
from pfnlab.engine.store import Store

T = TypeVar("T")
_LOCKS: set[str] = set()  # names that some class has for a lock


class SharedType(type):
    """Makes sure that the same creation gives the same object in every execution.

    An object is known by the task that made it, how many it had made before, its class
    and arguments; so a result that is an object means the same in all executions.
    """

    def __call__(cls, *args: Any, **arguments: Any) -> Any:
        execution, task = running()
        key = (task.index, task.created, cls, args, tuple(sorted(arguments.items())))
        task.created += 1
        try:
            made, given = execution.objects.get(key, (None, key))
        except TypeError as error:
            raise ModelError(
                f"{cls.__name__}() is given {args or arguments}: an object is known by its "
                "arguments, so they must have a hash, as a tuple, not a list"
            ) from error
        if not alike(given, key):
            raise ModelError(
                f"the arguments of {cls.__name__}() equal those of another execution, but are not "
                "alike in all, as 1 and True; use one of them"
            )
        if made is None:
            made = cls.__new__(cls)  # type: ignore[call-overload]  # mypy takes cls for a type of types
            object.__setattr__(made, "_cells", {})
        object.__setattr__(made, "_ready", False)
        made.name = ""
        made.__init__(*args, **arguments)
        if not made.name:
            made.name = f"{cls.__name__.lower()}{task.created}"
        first = [_begin_life(made)] if made._freeable else []
        members = list(_members(cls))
        first += [member.begin(made) for member in members]
        if key not in execution.objects:
            _must_be_sound(made, members)
            execution.objects[key] = made, key
        object.__setattr__(made, "_ready", True)
        perform(
            Operation(INIT, "create", cells=tuple([cell.number for cell, _value in first]),
                      value=tuple([value for _cell, value in first]))
        )  # fmt: skip
        return made

    def __setattr__(cls, name: str, value: Any) -> None:
        super().__setattr__(name, value)
        if isinstance(value, Member):  # as if it stood in the body of the class
            value.__set_name__(cls, name)


class Shared(Transparent, metaclass=SharedType):
    """Base of everything that tasks share.  `class Vma(Shared, freeable=True)` can be freed."""

    _freeable = False

    def __init_subclass__(cls, *, freeable: bool | None = None, **others: Any) -> None:
        super().__init_subclass__(**others)
        if freeable is not None:
            cls._freeable = freeable
        for name, value in vars(cls).items():
            _must_be_declared(cls, name, value)

    name: str
    # By member, and by collection and key.
    _cells: dict[str | tuple[str, Hashable], Cell]
    _ready: bool
    _life: Cell | None = None  # of objects that can be freed; see touch()

    def __setattr__(self, attribute: str, value: Any) -> None:
        if getattr(self, "_ready", False) and not hasattr(
            getattr(type(self), attribute, None), "__set__"
        ):
            raise ModelError(
                f"{type(self).__name__} has no field {attribute}; declare it in the class, as in "
                f"`{attribute} = field(...)`: only fields are seen by the explorer"
            )
        object.__setattr__(self, attribute, value)

    def __repr__(self) -> str:
        return self.name


class Member(ABC):
    """A descriptor that keeps one cell per object."""

    attribute = ""
    place = ""  # as "Vma.vm_flags"
    guarded_by = ""  # the lock that protects it
    is_lock = False

    def __set_name__(self, owner: type, attribute: str) -> None:
        self.attribute = attribute
        self.place = f"{owner.__name__}.{attribute.lstrip('_')}"

    @abstractmethod
    def begin(self, owner: Shared) -> tuple[Cell, Any]:
        """The cell of a new object, and its first value."""

    def _cell(self, owner: Shared) -> Cell:
        if owner._life is not None:
            touch(owner, owner._life)
        cell = owner._cells.get(self.attribute)
        if cell is None:
            raise ModelError(f"{self.place} is used in __init__, where there is none yet")
        return cell

    def _begin(
        self, owner: Shared, default: Any, make: Callable[[Store, str], Cell]
    ) -> tuple[Cell, Any]:
        """The cell, the same one in every execution; what __init__ has set is the value."""
        cell = owner._cells.get(self.attribute)
        if cell is None:
            execution, _task = running()
            cell = make(execution.store, f"{owner.name}.{self.attribute.lstrip('_')}")
            execution.cells.append(cell)
            owner._cells[self.attribute] = cell
        return cell, vars(owner).pop(self.attribute, default)


class Value(Member, Generic[T]):
    """A member that holds one value; before its object is ready it is an ordinary attribute."""

    default: T

    @abstractmethod
    def read(self, cell: Cell) -> Any:
        """As a step of the running task."""

    @abstractmethod
    def write(self, cell: Cell, value: Any) -> None:
        """As a step of the running task."""

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
        result: T = self.read(self._cell(owner))
        return result

    def __set__(self, owner: Shared, value: T) -> None:
        if not owner._ready:
            vars(owner)[self.attribute] = value
        else:
            self.write(self._cell(owner), value)


def cell_of(owner: Shared, attribute: str) -> Cell:
    """The cell of a member, past the member: not even a use of the object."""
    return owner._cells[attribute]


def _members(cls: type) -> Iterable[Member]:
    """One of each name: a class may put another one in the place of that of its base."""
    found: dict[str, Any] = {}
    for base in reversed(cls.__mro__):
        found |= vars(base)
    return [member for member in found.values() if isinstance(member, Member)]


def _must_be_declared(cls: type, name: str, value: Any) -> None:
    """Raise ModelError for what a class has that looks like a member, and is none."""
    place = f"{cls.__name__}.{name}"
    if isinstance(value, type) and issubclass(value, Member):
        raise ModelError(
            f"{place} is the class {value.__name__}: write {name} = {value.__name__}(...)"
        )
    parts: Any = value.values() if isinstance(value, dict) else value
    for part in parts if isinstance(value, dict | list | tuple) else ():
        if isinstance(part, Member):
            kind = type(part).__name__
            raise ModelError(
                f"{place} holds a {kind}, which is a member only with a name of its own in the "
                f"class; write {name}0 = {kind}(...), or make an object for each"
            )
    if not (name.startswith("__") or isinstance(value, Member) or hasattr(type(value), "__get__")):
        must_stay(place, value)


def _must_be_sound(made: Shared, members: list[Member]) -> None:
    """Raise ModelError if a new object has a constant that can change, or a guard that is none."""
    for name, value in vars(made).items():
        if name not in ("_cells", "_life", "_ready"):
            must_stay(f"{made.name}.{name}", value)
    for member in members:
        guard = member.guarded_by
        if guard and not _is_known_lock(guard.rpartition(".")[2]):
            raise ModelError(
                f"{member.place} is guarded by {guard!r}, and no class has a lock of this name"
            )


def _is_known_lock(name: str) -> bool:
    """Whether some class has a lock of this name; they are remembered, as it is asked often."""
    if name not in _LOCKS and _is_lock(name, Shared):
        _LOCKS.add(name)
    return name in _LOCKS


def _is_lock(name: str, cls: type) -> bool:
    """Whether a class, or one derived from it, has a lock of this name."""
    member = vars(cls).get(name)
    if isinstance(member, Member) and member.is_lock:
        return True
    below: list[type] = type.__subclasses__(cls)
    return any(_is_lock(name, each) for each in below)


# ---- the life of objects that can be freed


def _begin_life(made: Shared) -> tuple[Cell, bool]:
    life = made._life
    if life is None:
        execution, _task = running()
        life = Cell(execution.store, str(made), True, traced=False, field=type(made).__name__)
        life.words = ("uses", "used", "frees", "freed")
        execution.cells.append(life)
        object.__setattr__(made, "_life", life)
    return life, True


def touch(owner: Shared, life: Cell) -> None:
    """An access to any field of an object is a use of the object."""
    if observing() is not None:
        return
    if not read_plain(life, "use", rule=NO_USE_AFTER_FREE):
        task = running_task()
        violate(NO_USE_AFTER_FREE, f"{task.name} uses {owner}, which has been freed.")


def free(owner: Shared) -> None:
    """End the life of an object: every use that is not ordered before this is a finding."""
    life = owner._life
    if life is None:
        raise ModelError(f"{owner} cannot be freed; declare its class with freeable=True")
    touch(owner, life)
    write_plain(life, lambda _alive: False, "free", rule=NO_USE_AFTER_FREE)
