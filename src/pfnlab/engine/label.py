"""What a step did, as far as independence goes.

A label is the whole truth about a step for the explorer: two steps of different
tasks whose labels are independent can be swapped without anyone noticing.
Memory is a set of words, kept as bits of an integer; locks have kinds, refined
by the outcome (a trylock that failed is not a trylock that succeeded).
"""

from typing import NamedTuple

# Lock events.  A blocked acquire is no event; a trylock is one either way.
LOCK, UNLOCK = "lock", "unlock"
TRYLOCK, TRYLOCK_FAILED = "trylock", "trylock_failed"
READ_LOCK, READ_UNLOCK = "read_lock", "read_unlock"
READ_TRYLOCK, READ_TRYLOCK_FAILED = "read_trylock", "read_trylock_failed"
WRITE_LOCK, WRITE_UNLOCK, DOWNGRADE = "write_lock", "write_unlock", "downgrade"
WRITE_TRYLOCK, WRITE_TRYLOCK_FAILED = "write_trylock", "write_trylock_failed"
WRITE_QUEUED = "write_queued"  # a writer waits, and holds off new readers
INTERRUPTED = "interrupted"  # a killable wait gave up

# Everything that is not a lock.
MEMORY = "memory"
AWAIT = "await"  # waited for a word or a lock to change; the bits of locks count here

RELEASES = frozenset({UNLOCK, READ_UNLOCK, WRITE_UNLOCK, DOWNGRADE})
EXCLUSIVE = frozenset({LOCK, TRYLOCK, WRITE_LOCK, WRITE_TRYLOCK})  # now held by one
SHARED = frozenset({READ_LOCK, READ_TRYLOCK})  # now held by one more
LEAVES = frozenset({UNLOCK, READ_UNLOCK, WRITE_UNLOCK, INTERRUPTED})  # held, or queued, no more

_FAILURES = frozenset({TRYLOCK_FAILED, READ_TRYLOCK_FAILED, WRITE_TRYLOCK_FAILED, INTERRUPTED})
_READERS = frozenset({READ_LOCK, READ_UNLOCK, READ_TRYLOCK})
# What a failed attempt can tell apart from success: only a change of these.
_UNSEEN_BY = {
    TRYLOCK_FAILED: _FAILURES,
    READ_TRYLOCK_FAILED: _FAILURES | _READERS,
    WRITE_TRYLOCK_FAILED: _FAILURES | {WRITE_QUEUED},
    INTERRUPTED: _FAILURES,
    WRITE_QUEUED: frozenset({WRITE_QUEUED, WRITE_TRYLOCK_FAILED}),
}


class Label(NamedTuple):
    """One step: its kind, the lock it is about, and the words it read and wrote.

    `target` is a lock's number, or -1.  `reads` and `writes` are sets of words as
    bits.  A step after which a rule was evaluated has read what the rule read.  `adds`
    has the collections whose members were written: that concerns who reads a collection
    as a whole, and nobody who writes to another member.  `blocking` is a wait for a lock
    or a change; `killable` one that a signal ends too.
    """

    kind: str
    target: int = -1
    reads: int = 0
    writes: int = 0
    blocking: bool = False
    adds: int = 0
    killable: bool = False


def locks_commute(first: str, second: str) -> bool:
    """Whether two events of one lock, by different tasks, can be swapped."""
    if first in _READERS and second in _READERS:
        return True
    return second in _UNSEEN_BY.get(first, ()) or first in _UNSEEN_BY.get(second, ())


def dependent(first: Label, second: Label) -> bool:
    """Whether the order of two steps of different tasks can matter."""
    if first.writes & (second.reads | second.writes) or first.reads & second.writes:
        return True
    if first.adds & second.reads or first.reads & second.adds:
        return True
    if first.kind == AWAIT and second.target >= 0:
        return bool(first.reads >> second.target & 1)
    if second.kind == AWAIT and first.target >= 0:
        return bool(second.reads >> first.target & 1)
    if first.target < 0 or second.target < 0:
        return False
    return first.target == second.target and not locks_commute(first.kind, second.kind)
