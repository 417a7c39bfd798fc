"""Wakeup trees: which sequences of steps must still be tried from a state, and in which order.

After Abdulla, Aronis, Jonsson and Sagonas, "Optimal dynamic partial order reduction", POPL
2014.  A branch is a row of steps with the labels that they will have.  A sequence that some branch
begins, up to the order of independent steps, is not put in again: it would be tried twice.
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

    What follows without an alternative is a row of steps, as most of a tree waits for long.

    row   its steps from `place` up to `stop` are tried, in this order,
    then  and after them these
    lent  LENT if it is a leaf that somebody else explores, EXPLORED once that is done
    """

    def __init__(self, row: tuple[Step, ...], place: int = 0) -> None:
        self.row = row
        self.place = place
        self.stop = len(row)
        self.then: list[Branch] | None = None
        self.lent: int = OWN

    @property
    def step(self) -> Step:
        return self.row[self.place]

    @property
    def after(self) -> "list[Branch]":
        """What to try after its step."""
        if self.place + 1 < self.stop:
            return self._part(self.place + 1)
        if self.then is None:
            self.then = []
        return self.then

    @property
    def leaf(self) -> bool:
        """Whether nothing is planned after its step."""
        return self.place + 1 >= self.stop and not self.then

    def _part(self, place: int) -> "list[Branch]":
        """Make a branch of its own of the rest of the row; returns the list that it is in."""
        rest = Branch(self.row, place)
        rest.stop, rest.then = self.stop, self.then
        self.stop = place
        self.then = [rest]
        return self.then

    def follow(self, left: list[Event]) -> "tuple[list[Branch] | None, bool]":
        """Take the steps of the row after the first one out of a sequence.

        Returns where it goes on, None if that is nowhere, and whether it lacks some step.
        """
        weak = False
        row = self.row
        for at in range(self.place + 1, self.stop):
            step = row[at]
            if left and left[0].task == step.task and left[0].choice == step.choice:
                del left[0]  # as nearly always
                continue
            place = weak_initial(step, left)
            if place < 0:
                return self._part(at), weak
            if place < len(left):
                left.pop(place)
            else:
                weak = True
        return self.then, weak


@final
class Frame:
    """The state before one step of the present execution.

    sleep    steps that were tried from here or above, with nothing dependent made since; frames
             share such lists, so they are replaced and never changed
    current  the step that is taken
    tree     what must be tried besides it
    since    executions that had ended when it was reached
    tried    how many of `sleep` were tried from here, the last ones
    lent     of those, the ones that others are still exploring
    """

    tried: int = 0

    def __init__(self, sleep: list[Step], since: int = 0) -> None:
        self.sleep = sleep
        self.current: Step | None = None
        self.tree: list[Branch] = []
        self.since = since
        self.lent: tuple[Step, ...] = ()

    @property
    def done(self) -> int:
        return self.tried

    @property
    def left(self) -> int:
        return len(self.tree) + (self.current is not None)


def step_of(event: Event) -> Step:
    """An event without its place in an execution; nearly always one that is there already."""
    node: Node | None = event.node
    if node is None:
        return Step(event.task, event.choice, event.label)
    step = node.step
    if step is None or step.label is not event.label or step.choice != event.choice:
        step = node.step = Step(event.task, event.choice, event.label)
    return step


def weak_initial(step: Step, sequence: list[Event]) -> int:
    """Whether a step could come before a whole sequence.

    Its position in the sequence; len(sequence) if the sequence does not have it; -1 if not.
    """
    task, label = step.task, step.label
    bits = label.bits
    for place, event in enumerate(sequence):
        if event.task == task:
            return place if event.choice == step.choice else -1
        if bits & event.label.bits and dependent(label, event.label):
            return -1
    return len(sequence)


def grow(tree: list[Branch], sequence: list[Event]) -> int:
    """Plan a sequence that nothing in a forest begins; returns how many steps that are."""
    if sequence:
        tree.append(Branch(tuple([step_of(event) for event in sequence])))
    return len(sequence)


def insert(
    tree: list[Branch], sequence: list[Event], current: Step | None = None
) -> tuple[int, int]:
    """Put a sequence into a forest; below the current step all will be found anyway.

    Returns GROWN, COVERED or WEAKLY, and how many steps were added.
    """
    if current is not None and weak_initial(current, sequence) >= 0:
        return WEAKLY, 0
    left = sequence.copy()
    weak = False
    while True:
        follow: list[Branch] | None = None
        for branch in tree:
            step = branch.row[branch.place]
            if left and left[0].task == step.task and left[0].choice == step.choice:
                del left[0]  # as often
            else:
                place = weak_initial(step, left)
                if place < 0:
                    continue
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
            return (GROWN if left else COVERED), grow(tree, left)
        tree = follow


def still_asleep(sleep: list[Step], task: int, label: Label) -> list[Step]:
    """What is still asleep after a step."""
    bits, place = label.bits, 0
    for step in sleep:
        if step.task == task or (bits & step.label.bits and dependent(step.label, label)):
            break
        place += 1
    else:
        return sleep
    left = sleep[:place]
    for step in sleep[place + 1 :]:
        if step.task != task and not (bits & step.label.bits and dependent(step.label, label)):
            left.append(step)
    return left


def asleep(sleep: list[Step], sequence: list[Event]) -> int:
    """Whether a sequence was tried: GROWN if not, COVERED or WEAKLY if so."""
    weak = False
    for step in sleep:
        place = weak_initial(step, sequence)
        if 0 <= place < len(sequence):
            return COVERED
        if place >= 0:
            weak = True
    return WEAKLY if weak else GROWN


__all__ = ["COVERED", "EXPLORED", "GROWN", "LENT", "NOTHING", "OWN", "WEAKLY", "Branch", "Frame",
           "asleep", "insert", "still_asleep", "weak_initial"]  # fmt: skip
