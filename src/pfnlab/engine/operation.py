"""What a task announces: the next thing that it will do, as data.

A *visible* operation waits until the scheduler lets it happen.  A *plain* one happens at
once; that is sound as long as no two plain accesses race, and a race is a finding (see
store.py).  `fire` in fire.py says what each of them does.
"""

from collections.abc import Callable
from typing import Any, Final, final

from pfnlab.engine.label import NOTHING, Label
from pfnlab.errors import words_of

# Visible.
START: Final = 0  # a task begins: what it does before its first step belongs to this one
READ: Final = 1
WRITE: Final = 2
ATOMIC: Final = 3  # reads some words and writes those that `act` changes
REPLACE: Final = 4  # writes a plain field, where that is a step
RACY: Final = 5  # an access to a plain field that is known to race, and may
LOOK: Final = 6  # reads all words of a collection at once
CHOOSE: Final = 7
LOCK: Final = 8
TRYLOCK: Final = 9
UNLOCK: Final = 10
DOWN_READ: Final = 11
DOWN_READ_TRYLOCK: Final = 12
UP_READ: Final = 13
QUEUE_WRITE: Final = 14  # takes the lock if it is free, else stands in front of new readers
DOWN_WRITE: Final = 15
DOWN_WRITE_TRYLOCK: Final = 16
UP_WRITE: Final = 17
DOWNGRADE: Final = 18
WAIT: Final = 19  # until a word has a value that `ready` likes; then as ATOMIC
COND_WAIT: Final = 20  # lets a mutex go and stands in a queue
COND_WAKE: Final = 21  # leaves the queue's wake list and has the mutex again
RETRY: Final = 22  # until something has changed that the task saw since it began to try
SPAWN: Final = 23
JOIN: Final = 24
# Plain.
PLAIN: Final = 30
PLAIN_READ: Final = 30
PLAIN_WRITE: Final = 31
PEEK: Final = 32  # a read that is no access: nobody minds a race
INIT: Final = 33  # an object is made: its cells get their first values
MONITOR: Final = 34  # somebody is told that a task is about to take a lock
# Ends.
END: Final = 40
VIOLATE: Final = 41


@final
class Raised:
    """The result of a step whose function raises: the task does, where it makes the step."""

    def __init__(self, error: Exception) -> None:
        self.error: Final = error
        self.said: Final = words_of(error)
        self.place: Final = error.__traceback__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Raised) and self.said == other.said

    def __hash__(self) -> int:
        return hash(self.said)


@final
class Operation:
    """One operation.

    number   of the cell or lock that it is about, or of a task to start or to wait for
    cells    of ATOMIC: the numbers of its words; of INIT: of the new cells
    value    what is written; of RETRY the length of the history where the task began to try; of
             COND_WAKE the name of the queue
    act      ATOMIC: old values to (new values, result).  REPLACE, RACY, PLAIN_WRITE: old
             value to new.  WAIT: as ATOMIC, of one value
    ready    WAIT: value to whether it may go on
    signal   the number of the word that ends a killable wait, or -1
    options  of CHOOSE: how many there are
    label    of the step, as far as it does not depend on how it ends; `blocked` waits have
             it as long as they wait
    failed   of a trylock that fails, or a wait that is interrupted
    target   the cell, for names
    detail   result to text, for traces
    idle     ATOMIC: result to whether it has changed nothing, where that can be told
    """

    def __init__(
        self,
        code: int,
        verb: str = "",
        *,
        number: int = -1,
        cells: tuple[int, ...] = (),
        value: Any = None,
        act: Callable[[Any], Any] | None = None,
        ready: Callable[[Any], Any] | None = None,
        signal: int = -1,
        options: int = 1,
        label: Label = NOTHING,
        failed: Label = NOTHING,
        target: Any = None,
        detail: Callable[[Any], str] | None = None,
        rule: Any = None,
        counted: bool = True,
        idle: Callable[[Any], bool] | None = None,
    ) -> None:
        self.code: Final = code
        self.verb: Final = verb
        self.number: Final = number
        self.cells: Final = cells
        self.value: Final = value
        self.act: Final = act
        self.ready: Final = ready
        self.signal: Final = signal
        self.options: Final = options
        self.label: Final = label
        self.failed: Final = failed
        self.target: Final = target
        self.detail: Final = detail
        self.rule: Final = rule
        self.counted: Final = counted  # a step that readers see
        self.idle: Final = idle
        self.looks: Final = code in LOOKS  # it changes nothing
        self.tries: Final = code in TRIES or idle is not None  # it may change nothing
        self.key: Final[Any] = (cells[0] if cells else number) << 8 | code  # what it does to what
        self.labels: dict[int, Label] = {}  # of ATOMIC, by which of its words changed

    @property
    def plain(self) -> bool:
        return PLAIN <= self.code < END

    def changed_nothing(self, result: Any) -> bool:
        """Whether it is known to have changed nothing, as it ended in this way."""
        if self.looks or not self.tries:
            return self.looks
        if self.idle is None:
            return not result
        return not isinstance(result, Raised) and self.idle(result)

    @property
    def waits(self) -> bool:
        """Whether it may have to wait."""
        return self.code in WAITING

    def told(self, result: Any) -> str:
        """What it was about and how it ended, for a trace."""
        if isinstance(result, Raised):
            what = self.target.name if self.target is not None else self.verb
            return f"{what} raises {type(result.error).__name__}"
        return self.detail(result) if self.detail is not None else ""

    def same(self, other: "Operation") -> bool:
        """Whether a task that is run again announces the same."""
        return (
            self.code == other.code
            and self.number == other.number
            and self.cells == other.cells
            and self.verb == other.verb
            and self.options == other.options
        )

    def __repr__(self) -> str:
        return f"<{self.verb} {self.target if self.target is not None else ''}>"


LOOKS: Final = frozenset({READ, LOOK, PLAIN_READ})
TRIES: Final = frozenset({TRYLOCK, DOWN_READ_TRYLOCK, DOWN_WRITE_TRYLOCK})
WAITING: Final = frozenset({LOCK, DOWN_READ, DOWN_WRITE, WAIT, COND_WAKE, RETRY, JOIN})
# Can always happen, and have the same label in every state.
FIXED: Final = frozenset({START, READ, WRITE, RACY, LOOK, UNLOCK, UP_READ, UP_WRITE, DOWNGRADE,
                   COND_WAIT})  # fmt: skip
