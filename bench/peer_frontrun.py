"""Run by the Python that has frontrun: explore one program; print executions and seconds."""

import sys
import threading
import time
from collections.abc import Callable
from typing import Any

import frontrun

MOST = 300  # executions


class State:
    def __init__(self, size: int) -> None:
        for place in range(size):
            setattr(self, f"a{place}", 0)
        self.lock = threading.Lock()


def last_zero(number: int) -> tuple[int, list[Callable[[Any], None]]]:
    def read(state: State) -> None:
        place = number
        while getattr(state, f"a{place}") != 0:
            place -= 1

    def writer(place: int) -> Callable[[Any], None]:
        def write(state: State) -> None:
            setattr(state, f"a{place}", getattr(state, f"a{place - 1}") + 1)

        return write

    return number + 1, [read, *(writer(place) for place in range(1, number + 1))]


def counter(number: int) -> tuple[int, list[Callable[[Any], None]]]:
    def count(state: Any) -> None:
        with state.lock:
            state.a0 = state.a0 + 1

    return 1, [count] * number


MAKERS = {"lastzero": last_zero, "counter": counter}


def main() -> None:
    maker, _, numbers = sys.argv[1].rstrip(")").partition("(")
    size, workers = MAKERS[maker](int(numbers))
    began = time.perf_counter()
    result = frontrun.explore(
        setup=lambda: State(size),
        workers=workers,
        invariant=lambda state: True,
        preemption_bound=None,
        stop_on_first=False,
        max_executions=MOST,
    )
    print(result.num_explored, time.perf_counter() - began)


if __name__ == "__main__":
    main()
