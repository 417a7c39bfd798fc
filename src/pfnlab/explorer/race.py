"""The two steps that a reader should look at first: a pair that no lock orders."""

from pfnlab.engine.label import Label, conflict, dependent
from pfnlab.engine.record import TraceStep


def racing_pair(steps: list[TraceStep]) -> tuple[int, int] | None:
    """The numbers of the last two steps of different tasks on the same word.

    Computed, never guessed: the pair is given only if no chain of locks orders the
    two, so that either could have come first.
    """
    before = _before(steps)
    for second in range(len(steps) - 1, 0, -1):
        for first in range(second - 1, -1, -1):
            one, two = steps[first], steps[second]
            if one.task == two.task or not _same_word(one.label, two.label):
                continue
            if not before[second] >> first & 1:
                return one.number, two.number
    return None


def _same_word(one: Label, two: Label) -> bool:
    return one.lock < 0 and two.lock < 0 and dependent(one, two)


def _before(steps: list[TraceStep]) -> list[int]:
    """For each step those that come before it by program order and by locks, as bits."""
    before: list[int] = []
    last: dict[str, int] = {}  # step of each task
    users: dict[int, list[int]] = {}  # steps of each lock
    for index, step in enumerate(steps):
        earlier = users.setdefault(step.label.lock, []) if step.label.lock >= 0 else []
        reached = [place for place in earlier if conflict(steps[place].label.mode, step.label.mode)]
        if step.task in last:
            reached.append(last[step.task])
        bits = 0
        for place in reached:
            bits |= before[place] | 1 << place
        before.append(bits)
        last[step.task] = index
        earlier.append(index)
    return before
