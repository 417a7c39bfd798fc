"""Loops that wait by looking: `while not device.ready: pass`.

Left alone such a loop has an execution for every number of rounds.  It is found here, and made a
wait for a change of what it looks at, as if it had called try_again().

A task is in the same state as before if its Python frames are: the same instruction of the same
code, and equal locals.  If it also has only looked at things since, and seen the same as in the
round before, it will do the same again for as long as what it sees does not change.  So waiting
for a change loses nothing.  It must never happen to a loop that ends by itself.  Hence it is only
done where everything that a frame remembers can be seen:

* every local is a number, a text, a tuple of such, a Shared object, whose state is in cells, or
  a function that has captured nothing;
* nothing that it looks at in its module can change (constant.py), and it assigns to nothing there;
  what it assigns to in classes and other modules is as it was;
* the code has no `for`, as an iterator counts rounds unseen, no `yield`, and no `:=`, which can
  keep an old value on the stack while the local already has a new one;
* no C function that calls back stands between two frames, as sorted() counts unseen;
* what lies on the stack between operators comes from these locals and from what was seen since
  the loop went round.  That is why two rounds must be the same, and not one.
"""

from enum import Enum
from types import CodeType, FrameType, FunctionType
from typing import Any, Final, final

from pfnlab.engine.call_site import known
from pfnlab.engine.cell import Transparent

_PLAIN_VALUES: Final = (bool, int, str, bytes, type(None))
VISITS: Final = 16  # earlier looks at the same thing that are compared

State = tuple[Any, ...]


@final
class Looked:
    """What a task has looked at since it last did anything else.

    A key is that of an operation: what it does to what.
    """

    def __init__(self) -> None:
        self.seen: list[tuple[Any, Any]] = []  # key and result
        self.once: set[Any] = set()  # keys that have come
        # Of those that have come again: how many looks came before, and the task's state.
        self.visits: dict[Any, list[tuple[int, State]]] = {}

    def clear(self) -> None:
        if self.seen or self.once:
            self.seen.clear()
            self.once.clear()
            self.visits.clear()

    def add(self, key: Any, result: Any) -> None:
        self.seen.append((key, result))

    def again(self, key: Any) -> bool:
        """Whether an operation was among them, which now comes once more."""
        before = len(self.once)
        self.once.add(key)
        return len(self.once) == before

    def round(self, key: Any, frame: FrameType | None, own: State) -> int:
        """Looks in the round that the task has just made twice; 0 if it goes round in no circle.

        `own` is what the engine remembers of the task.
        """
        seen, here = self.seen, len(self.seen)
        state = state_of(frame)
        if state is None:
            return 0
        state += own
        visits = self.visits.setdefault(key, [])
        found = 0
        for place, other in visits[: -VISITS - 1 : -1]:
            before = 2 * place - here
            if before >= 0 and other == state and seen[before:place] == seen[place:here]:
                found = here - place
                break
        visits.append((here, state))
        return found


def state_of(frame: FrameType | None) -> State | None:
    """All that a task's own code remembers here; None if it may be more than can be seen."""
    state: list[Any] = []
    called: CodeType | None = None
    while frame is not None:
        its = _state_of_one(frame, called)
        if isinstance(its, str):
            return None
        state += its
        called = frame.f_code
        frame = frame.f_back
    return tuple(state)


def obstacle(frame: FrameType | None) -> str:
    """Why a loop of a task that stands here is not taken for a wait, in words; "" if it is."""
    called: CodeType | None = None
    while frame is not None:
        its = _state_of_one(frame, called)
        if isinstance(its, str):
            return f"{frame.f_code.co_name}() {its}"
        called = frame.f_code
        frame = frame.f_back
    return ""


def _state_of_one(frame: FrameType, called: CodeType | None) -> State | str:
    """Of one function, which has called that code; or what hides some of it."""
    code = frame.f_code
    module = str(frame.f_globals.get("__name__", ""))
    # The engine counts nothing for a task, but in its loops.
    ours = module.startswith("pfnlab.engine")
    facts = known(frame)
    if facts.counts:
        return "has a `for`, `yield` or `global`, which may count"
    if facts.keeps and not ours:
        return "has a `:=`, or a = b = c"
    place = facts.place_of(frame.f_lasti)
    values: dict[str, Any] = {}
    if not ours:
        of_any_kind: Any = frame  # from 3.13 on its locals are no dict
        values = of_any_kind.f_locals
    # No C function of ours, or of the model, calls back for a look.
    if not (called is None or module.startswith("pfnlab.") or facts.calls(place, called, values)):
        return "calls by way of a function that may count, as map() and sorted() do"
    state: list[Any] = [code, place]
    if not ours:
        if facts.looks_at:
            return f"looks at {facts.looks_at}, which can change"
        for name, value in values.items():
            seen = _seen(value)
            if seen is None:
                return f"has {name}, which may count"
            state += (name, seen)
        state += [_seen(vars(holder).get(name)) for holder, name in facts.keeps_in]
    return tuple(state)


def _seen(value: Any) -> Any:
    """A value that compares by all that it is; None if that cannot be told."""
    kind = type(value)
    if kind is float or kind is complex:
        return kind, repr(value)  # 0.0 equals -0.0
    if kind in _PLAIN_VALUES or isinstance(value, Enum):
        return kind, value
    if isinstance(value, Transparent):
        return kind, id(value)
    if isinstance(value, tuple):
        parts = [_seen(part) for part in value]
        return None if None in parts else (kind, *parts)
    if isinstance(value, FunctionType) and not (value.__closure__ or vars(value)):
        defaults = _seen((value.__defaults__ or (), *(value.__kwdefaults__ or {}).values()))
        return None if defaults is None else (kind, id(value), defaults)
    return None
