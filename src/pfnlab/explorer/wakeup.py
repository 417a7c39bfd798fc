"""Wakeup trees: which sequences of steps must still be tried from a state, and in which order.

After Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction", POPL
2014.  A branch is a step with the label that it will have; it must be an independent step's
turn at each node only once, so a sequence that some branch begins is not put in again.
"""

from typing import Final, final

from pfnlab.engine.event import Event
from pfnlab.engine.label import NOTHING, Label, dependent

GROWN: Final = 0
COVERED: Final = 1
WEAKLY: Final = 2  # covered, but by a branch that the sequence does not have: look again

OWN: Final = 0
LENT: Final = 1
EXPLORED: Final = 2


@final
class Branch:
    """One step to try, and what to try after it.

    lent  LENT if it is a leaf that somebody else explores, EXPLORED once that is done
    """

    lent: int = OWN

    def __init__(self, task: int, choice: int, label: Label) -> None:
        self.task = task
        self.choice = choice
        self.label = label
        self.after: list[Branch] = []


@final
class Frame:
    """The state before one step of the present execution.

    sleep    steps that were tried from here or above, with nothing dependent made since
    tree     what must be tried, the present branch first
    current  the branch that is taken
    tried    how many of `sleep` were tried from here, the last ones
    lent     of those, the ones that others are still exploring
    """

    current: Branch | None = None
    tried: int = 0
    lent: tuple[Branch, ...] = ()

    def __init__(self, sleep: list[Branch], tree: list[Branch]) -> None:
        self.sleep = sleep
        self.tree = tree

    @property
    def done(self) -> int:
        return self.tried

    @property
    def left(self) -> int:
        return len(self.tree)


def weak_initial(branch: Branch, sequence: list[Event]) -> int:
    """Whether a step could come before a whole sequence.

    Its position in the sequence; len(sequence) if the sequence does not have it; -1 if not.
    """
    task, label, place = branch.task, branch.label, 0
    bits = label.bits
    for event in sequence:
        if event.task == task:
            return place if event.choice == branch.choice else -1
        if bits & event.label.bits and dependent(label, event.label):
            return -1
        place += 1
    return place


def insert(
    tree: list[Branch], sequence: list[Event], current: Branch | None = None
) -> tuple[int, int]:
    """Put a sequence into a forest; below the current branch all will be found anyway.

    Returns GROWN, COVERED or WEAKLY, and how many branches were added.
    """
    left = sequence.copy()
    weak = False
    while True:
        follow: list[Branch] | None = None
        for branch in tree:
            place = weak_initial(branch, left)
            if place < 0:
                continue
            if branch is current:
                return WEAKLY, 0
            if place < len(left):
                del left[place]
            else:
                weak = True
            if not branch.after:
                return (WEAKLY if weak else COVERED), 0
            follow = branch.after
            break
        if follow is None:
            for event in left:
                branch = Branch(event.task, event.choice, event.label)
                tree.append(branch)
                tree = branch.after
            return (GROWN if left else COVERED), len(left)
        tree = follow


def asleep(sleep: list[Branch], sequence: list[Event]) -> int:
    """Whether a sequence was tried: GROWN if not, COVERED or WEAKLY if so."""
    weak = False
    for branch in sleep:
        place = weak_initial(branch, sequence)
        if 0 <= place < len(sequence):
            return COVERED
        if place >= 0:
            weak = True
    return WEAKLY if weak else GROWN


__all__ = ["COVERED", "EXPLORED", "GROWN", "LENT", "NOTHING", "OWN", "WEAKLY", "Branch", "Frame",
           "asleep", "insert", "weak_initial"]  # fmt: skip
