"""Wakeup trees: which sequences of steps must still be tried from a state, and in which order.

After Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction", POPL
2014.  A branch is a step with the label that it will have; it must be an independent step's
turn at each node only once, so a sequence that some branch begins is not put in again.
"""

from typing import Final, final

from pfnlab.engine.event import Event
from pfnlab.engine.label import NOTHING, Label, dependent
from pfnlab.explorer.trie import Node, Step

GROWN: Final = 0
COVERED: Final = 1
WEAKLY: Final = 2  # covered, but by a branch that the sequence does not have: look again

OWN: Final = 0
LENT: Final = 1
EXPLORED: Final = 2


@final
class Branch:
    """One step to try, and what to try after it.

    What follows without an alternative is a row of steps, until the search gets there: most
    of a tree waits for long, and a row takes little room.

    lent  LENT if it is a leaf that somebody else explores, EXPLORED once that is done
    """

    lent: int = OWN
    _row: tuple[Step, ...] = ()  # its steps from `place` up to `stop` come next,
    _place: int = 0
    _stop: int = 0
    _after: "list[Branch] | None" = None  # and then these

    def __init__(self, task: int, choice: int, label: Label) -> None:
        self.task = task
        self.choice = choice
        self.label = label

    @staticmethod
    def of(row: tuple[Step, ...], place: int = 0) -> "Branch":
        """The step at this place of a row; those after it come next."""
        step = row[place]
        branch = Branch(step.task, step.choice, step.label)
        branch._row, branch._place, branch._stop = row, place + 1, len(row)
        return branch

    @property
    def after(self) -> "list[Branch]":
        """What to try next; the search keeps this very list."""
        if self._place < self._stop:
            self._part(self._place)
        if self._after is None:
            self._after = []
        return self._after

    @after.setter
    def after(self, branches: "list[Branch]") -> None:
        self._after = branches

    def forget(self) -> None:
        """It has been tried: nothing comes after it any more."""
        self._stop, self._after = self._place, None

    @property
    def leaf(self) -> bool:
        """Whether nothing is planned after it."""
        return self._place >= self._stop and not self._after

    def _part(self, place: int) -> "list[Branch]":
        """Make a branch of its own of the rest of the row; returns the list that it is in."""
        rest = Branch.of(self._row, place)
        rest._stop, rest._after = self._stop, self._after
        self._stop = place
        self._after = [rest]
        return self._after

    def follow(self, left: list[Event]) -> "tuple[list[Branch] | None, bool]":
        """Take the steps of the row out of a sequence.

        Returns where it goes on, None if that is nowhere, and whether it lacks some step.
        """
        weak = False
        for at in range(self._place, self._stop):
            step = self._row[at]
            if left and left[0].task == step.task and left[0].choice == step.choice:
                del left[0]  # as nearly always
                continue
            place = weak_initial(step.task, step.choice, step.label, left)
            if place < 0:
                return self._part(at), weak
            if place < len(left):
                left.pop(place)
            else:
                weak = True
        return self._after, weak


@final
class Frame:
    """The state before one step of the present execution.

    sleep    steps that were tried from here or above, with nothing dependent made since; frames
             share such lists, so they are replaced and never changed
    tree     what must be tried, the present branch first
    since    executions that had ended when it was reached
    current  the branch that is taken
    tried    how many of `sleep` were tried from here, the last ones
    lent     of those, the ones that others are still exploring
    """

    current: Branch | None = None
    tried: int = 0
    lent: tuple[Branch, ...] = ()

    def __init__(self, sleep: list[Branch], tree: list[Branch], since: int = 0) -> None:
        self.sleep = sleep
        self.tree = tree
        self.since = since

    @property
    def done(self) -> int:
        return self.tried

    @property
    def left(self) -> int:
        return len(self.tree)


def step_of(event: Event) -> Step:
    """An event without its place in an execution; nearly always one that is there already."""
    node: Node | None = event.node
    if node is None:
        return Step(event.task, event.choice, event.label)
    step = node.step
    if step is None or step.label is not event.label or step.choice != event.choice:
        step = node.step = Step(event.task, event.choice, event.label)
    return step


def weak_initial(task: int, choice: int, label: Label, sequence: list[Event]) -> int:
    """Whether a step could come before a whole sequence.

    Its position in the sequence; len(sequence) if the sequence does not have it; -1 if not.
    """
    bits = label.bits
    for place, event in enumerate(sequence):
        if event.task == task:
            return place if event.choice == choice else -1
        if bits & event.label.bits and dependent(label, event.label):
            return -1
    return len(sequence)


def insert(
    tree: list[Branch], sequence: list[Event], current: Branch | None = None, apart: bool = False
) -> tuple[int, int]:
    """Put a sequence into a forest; below the current branch all will be found anyway.

    With `apart` the current branch cannot begin the sequence, and need not be asked.
    Returns GROWN, COVERED or WEAKLY, and how many branches were added.
    """
    left = sequence.copy()
    weak = False
    while True:
        follow: list[Branch] | None = None
        for branch in tree:
            if apart and branch is current:
                continue
            if left and left[0].task == branch.task and left[0].choice == branch.choice:
                place = 0  # as often
            else:
                place = weak_initial(branch.task, branch.choice, branch.label, left)
            if place < 0:
                continue
            if branch is current:
                return WEAKLY, 0
            if place < len(left):
                left.pop(place)
            else:
                weak = True
            follow, lacks = branch.follow(left)
            weak = weak or lacks
            if not follow:
                return (WEAKLY if weak else COVERED), 0
            break
        if follow is None:
            if left:
                tree.append(Branch.of(tuple([step_of(event) for event in left])))
            return (GROWN if left else COVERED), len(left)
        tree = follow


def still_asleep(sleep: list[Branch], task: int, label: Label) -> list[Branch]:
    """What is still asleep after a step."""
    place = 0
    for branch in sleep:
        if branch.task == task or dependent(branch.label, label):
            break
        place += 1
    else:
        return sleep
    left = sleep[:place]
    for branch in sleep[place + 1 :]:
        if branch.task != task and not dependent(branch.label, label):
            left.append(branch)
    return left


def asleep(sleep: list[Branch], sequence: list[Event]) -> int:
    """Whether a sequence was tried: GROWN if not, COVERED or WEAKLY if so."""
    weak = False
    for branch in sleep:
        place = weak_initial(branch.task, branch.choice, branch.label, sequence)
        if 0 <= place < len(sequence):
            return COVERED
        if place >= 0:
            weak = True
    return WEAKLY if weak else GROWN


__all__ = ["COVERED", "EXPLORED", "GROWN", "LENT", "NOTHING", "OWN", "WEAKLY", "Branch", "Frame",
           "asleep", "insert", "still_asleep", "weak_initial"]  # fmt: skip
