"""What a step did, as far as independence goes.

A step is a set of accesses: an object, which is a cell or a lock, and a mode.  A mode says
what was done and how it ended: a trylock that failed is not a trylock that succeeded.  Two
steps of different tasks are independent, and can be swapped without anyone noticing, if no
object is in both of them with modes that conflict.
"""

from typing import Any, Final, final

# Memory.
READ: Final = 0
WRITE: Final = 1
ADD: Final = 2  # a member of a collection was written: concerns who reads the collection

# Locks.  A blocked acquire is no step; a trylock is one either way.
LOCK: Final = 3
UNLOCK: Final = 4
TRYLOCK: Final = 5
TRYLOCK_FAILED: Final = 6
READ_LOCK: Final = 7
READ_UNLOCK: Final = 8
READ_TRYLOCK: Final = 9
READ_TRYLOCK_FAILED: Final = 10
WRITE_LOCK: Final = 11
WRITE_UNLOCK: Final = 12
WRITE_TRYLOCK: Final = 13
WRITE_TRYLOCK_FAILED: Final = 14
DOWNGRADE: Final = 15
WRITE_QUEUED: Final = 16  # a writer waits, and holds off new readers
INTERRUPTED: Final = 17  # a killable wait gave up
WATCHED: Final = 18  # a task has waited for the lock to change
READ_INTERRUPTED: Final = 19  # as INTERRUPTED, by a reader that waited for who stands in front
MODES: Final = 20

NAMES = (
    "read", "write", "add", "lock", "unlock", "trylock", "trylock_failed", "read_lock",
    "read_unlock", "read_trylock", "read_trylock_failed", "write_lock", "write_unlock",
    "write_trylock", "write_trylock_failed", "downgrade", "write_queued", "interrupted", "watched",
    "read_interrupted",
)  # fmt: skip

RELEASES = (UNLOCK, READ_UNLOCK, WRITE_UNLOCK, DOWNGRADE)
# After which the task has the lock, or stands in front of new readers.
ACQUIRES = (LOCK, TRYLOCK, READ_LOCK, READ_TRYLOCK, WRITE_LOCK, WRITE_TRYLOCK, WRITE_QUEUED)

_FAILED = (TRYLOCK_FAILED, READ_TRYLOCK_FAILED, WRITE_TRYLOCK_FAILED)
_READERS = (READ_LOCK, READ_UNLOCK, READ_TRYLOCK)
# What a failed attempt cannot tell from nothing, besides other failed attempts.
_UNSEEN: dict[int, tuple[int, ...]] = {
    TRYLOCK_FAILED: (INTERRUPTED,),
    READ_TRYLOCK_FAILED: _READERS,
    WRITE_TRYLOCK_FAILED: (WRITE_QUEUED, INTERRUPTED, READ_INTERRUPTED),
    WRITE_QUEUED: (WRITE_QUEUED,),
    INTERRUPTED: (INTERRUPTED,),  # a writer that gives up lets readers in, if the lock is fair
    READ_INTERRUPTED: (READ_INTERRUPTED,),
    WATCHED: (WATCHED, *_FAILED),
}


def _conflict(one: int, other: int) -> bool:
    if max(one, other) <= ADD:
        pair = {one, other}
        return pair in ({WRITE}, {READ, WRITE}, {READ, ADD})
    if min(one, other) <= ADD:
        return False
    if (one in _FAILED and other in _FAILED) or (one in _READERS and other in _READERS):
        return False
    return other not in _UNSEEN.get(one, ()) and one not in _UNSEEN.get(other, ())


# By mode, and the mode of the other.
CONFLICTS: Final[list[list[bool]]] = [
    [_conflict(one, other) for other in range(MODES)] for one in range(MODES)
]


def conflict(one: int, other: int) -> bool:
    """Whether two modes of one object, by different tasks, do not commute."""
    return CONFLICTS[one][other]


@final
class Label:
    """One step: its accesses, and what it takes to see its other order.

    accesses   (number of an object, mode), at most one for each object
    blocking   a wait that only others can end
    killable   a wait that a signal ends too
    simple     it touches one object, and waits for nobody
    """

    def __init__(
        self,
        accesses: tuple[tuple[int, int], ...],
        blocking: bool = False,
        killable: bool = False,
    ) -> None:
        self.accesses: Final = accesses
        self.blocking: Final = blocking
        self.killable: Final = killable
        self.waits: Final = blocking or killable
        self.size: Final = len(accesses)
        self.object: Final = accesses[0][0] if accesses else -1
        self.mode: Final = accesses[0][1] if accesses else READ
        self.simple: Final = self.size == 1 and not self.waits
        self.conflicts: Final = CONFLICTS[self.mode]  # of its first access, by mode
        self.lock: Final = self.object if self.mode > ADD else -1
        bits = writes = adds = 0
        for number, mode in accesses:
            bits |= 1 << number
            if mode == WRITE:
                writes |= 1 << number
            elif mode == ADD:
                adds |= 1 << number
        self.bits: Final = bits
        self.writes: Final = writes
        self.adds: Final = adds

    def reading(self, numbers: tuple[int, ...]) -> "Label":
        """The same step, when it has also read some cells: what a rule looked at after it."""
        more = tuple((number, READ) for number in numbers if not self.bits >> number & 1)
        return Label((*self.accesses, *more), self.blocking, self.killable)

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Label)
            and self.accesses == other.accesses
            and self.blocking == other.blocking
            and self.killable == other.killable
        )

    def __hash__(self) -> int:
        return hash(self.accesses)

    def __reduce__(self) -> tuple[Any, ...]:
        # A trace goes from one process to another, and a compiled class cannot do that alone.
        return (Label, (self.accesses, self.blocking, self.killable))

    def __repr__(self) -> str:
        what = ", ".join(f"{NAMES[mode]} {number}" for number, mode in self.accesses)
        return f"<{what or 'nothing'}>"


NOTHING: Final = Label(())


def dependent(one: Label, other: Label) -> bool:
    """Whether the order of two steps of different tasks can matter."""
    if one.size == 1 and other.size == 1:
        return one.object == other.object and one.conflicts[other.mode]
    if not one.bits & other.bits:
        return False
    for number, mode in one.accesses:
        for another, its in other.accesses:
            if number == another and CONFLICTS[mode][its]:
                return True
    return False


# The modes that conflict with each, as bits.
_ROWS: Final[list[int]] = [sum(row[other] << other for other in range(MODES)) for row in CONFLICTS]


def sees_more(label: Label, *others: Label) -> bool:
    """Whether a step could depend on this label and on none of the others."""
    for number, mode in label.accesses:
        row = _ROWS[mode]
        for other in others:
            for another, its in other.accesses:
                if number == another:
                    row &= ~_ROWS[its]
        if row:
            return True
    return False
