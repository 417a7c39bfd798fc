"""Code that makes no step: nothing else comes to it, so a clock finds it."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from pfnlab.engine.current import CURRENT
from pfnlab.errors import ModelError

LONG, SHORT = 10.0, 0.1  # seconds between two looks, at most and at least


@contextmanager
def no_endless_code(limit: float | None = None) -> Iterator[None]:
    """Raise ModelError in the code of a task, or of a setup, that is the same at two looks.

    A loop that touches no shared state, in other words, which no limit of steps ends.  Looks are
    no further apart than `limit`, the seconds that a search may take.
    """
    if threading.current_thread() is not threading.main_thread():  # which alone hears signals
        yield
        return
    seconds = LONG if limit is None else min(LONG, max(limit, SHORT))
    seen = -1

    def look(*_: object) -> None:
        nonlocal seen
        task, seen_before = CURRENT.task, seen
        seen = CURRENT.runs if task is not None else -1
        # A debugger waits for its user.
        if task is not None and seen == seen_before and sys.gettrace() is None:
            raise ModelError(
                f"the code of {task.name} has run for more than {seconds:g} s without a step; "
                "is this a loop that touches no shared state?"
            )

    before = signal.signal(signal.SIGALRM, look)
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
