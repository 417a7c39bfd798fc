"""The two steps that a reader should look at first: a pair that no lock orders."""

from pfnlab.engine.label import Label, conflict, dependent
from pfnlab.engine.record import TraceStep


def racing_pair(steps: list[TraceStep]) -> tuple[int, int] | None:
    """The numbers of the last two steps of different tasks on the same word.

    Computed, never guessed: the pair is given only if no chain of locks, waits, starts and
    joins orders the two, so that either could have come first.
    """
    places: dict[str, list[int]] = {}
    for place, step in enumerate(steps):
        places.setdefault(step.task, []).append(place)
    if len(places) < 2:
        return None
    before = _before(steps)
    for second in range(len(steps) - 1, 0, -1):
        two = steps[second]
        others = [p for task, theirs in places.items() if task != two.task for p in theirs]
        for first in sorted(others, reverse=True):
            one = steps[first]
            if first > second or not _same_word(one.label, two.label):
                continue
            if not before[second] >> first & 1:
                return one.number, two.number
    return None


def _same_word(one: Label, two: Label) -> bool:
    return one.lock < 0 and two.lock < 0 and dependent(one, two)


def _before(steps: list[TraceStep]) -> list[int]:
    """For each step those that come before it whatever the schedule, as bits."""
    before: list[int] = []
    last: dict[str, int] = {}  # step of each task
    born: dict[str, int] = {}  # what comes before the first step of a task, as bits
    users: dict[int, list[int]] = {}  # steps of each lock,
    known: dict[int, int] = {}  # and the same as bits
    for index, step in enumerate(steps):
        bits = born.get(step.task, 0)
        if step.task in last:
            bits = before[last[step.task]] | 1 << last[step.task]
        if step.verb == "join" and step.detail in last:
            bits |= before[last[step.detail]] | 1 << last[step.detail]
        elif step.verb == "start":
            born[step.detail] = bits | 1 << index
        elif step.label.waits and step.label.lock < 0:  # it ends since others have written
            for place in range(index):
                if _same_word(steps[place].label, step.label):
                    bits |= before[place] | 1 << place
        lock = step.label.lock
        if lock >= 0:
            earlier = users.setdefault(lock, [])
            for place in reversed(earlier):
                if not known[lock] & ~bits:
                    break
                if conflict(steps[place].label.mode, step.label.mode):
                    bits |= before[place] | 1 << place
            earlier.append(index)
            known[lock] = known.get(lock, 0) | 1 << index
        before.append(bits)
        last[step.task] = index
    return before
