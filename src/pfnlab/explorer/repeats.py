"""The part of a trace that repeats until its end."""

from collections.abc import Sequence

from pfnlab.engine.record import TraceStep

LONGEST = 200  # steps of a round


def repeats_from(steps: Sequence[TraceStep], *, values: bool = True) -> tuple[int, int]:
    """Where rounds begin that go on to the end, and how many steps one has; (0, 0) if none do.

    The last step may be out of the round: it is the one that breaks a rule.  Without `values`
    rounds may differ in what was read and written.
    """
    looks = [
        (s.task, s.verb, s.detail if values else (s.label.accesses, s.word), s.site) for s in steps
    ]
    for end in (len(looks), len(looks) - 1):
        for length in range(1, min(LONGEST, end // 2) + 1):
            if looks[end - length : end] == looks[end - 2 * length : end - length]:
                begin = end - 2 * length
                while begin > 0 and looks[begin - 1] == looks[begin - 1 + length]:
                    begin -= 1
                return begin, length
    return 0, 0
