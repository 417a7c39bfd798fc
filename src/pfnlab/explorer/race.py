"""The two steps that a reader should look at first: a pair that no lock orders."""

from pfnlab.engine.label import Label, conflict, dependent
from pfnlab.engine.record import TraceStep


def racing_pair(steps: list[TraceStep]) -> tuple[int, int] | None:
    """The numbers of the last two steps of different tasks on the same word.

    Computed, never guessed: the pair is given only if no chain of locks orders the
    two, so that either could have come first.
    """
    after = [_ordered_by_locks(steps, index) for index in range(len(steps))]
    for second in range(len(steps) - 1, 0, -1):
        for first in range(second - 1, -1, -1):
            one, two = steps[first], steps[second]
            if one.task == two.task or not _same_word(one.label, two.label):
                continue
            if second not in after[first]:
                return one.number, two.number
    return None


def _same_word(one: Label, two: Label) -> bool:
    return one.lock < 0 and two.lock < 0 and dependent(one, two)


def _ordered_by_locks(steps: list[TraceStep], start: int) -> set[int]:
    """The steps that come after `start` by program order and by locks."""
    reached = {start}
    for index in range(start + 1, len(steps)):
        step = steps[index]
        for before in reached:
            earlier = steps[before]
            if earlier.task == step.task or (
                0 <= earlier.label.lock == step.label.lock
                and conflict(earlier.label.mode, step.label.mode)
            ):
                reached.add(index)
                break
    return reached
