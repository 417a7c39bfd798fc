"""Run by the Python that has minicheck: visit every state of one program; print how many.

minicheck knows states and transitions only, so each program is written as its transition
function here: a state is a program counter for each task, and what they share.
"""

import sys
from collections.abc import Callable
from typing import Any

from minicheck import Protocol, check_safety

State = tuple[Any, ...]
Successors = Callable[[State], list[tuple[str, State]]]
MOST = 2_000_000


def changed(state: State, *changes: tuple[int, Any]) -> State:
    values = list(state)
    for place, value in changes:
        values[place] = value
    return tuple(values)


def last_zero(number: int) -> tuple[State, Successors]:
    # The reader's index, or -1 once it has ended; the array; of each writer what it has read,
    # -1 before that and -2 at the end.
    array, writers = 1, number + 2

    def successors(state: State) -> list[tuple[str, State]]:
        found = []
        index = state[0]
        if index >= 0:
            found.append(("read", changed(state, (0, index - 1 if state[array + index] else -1))))
        for place in range(number):
            read = state[writers + place]
            if read == -1:
                value = state[array + place]
                found.append(("look", changed(state, (writers + place, value))))
            elif read >= 0:
                after = ((array + place + 1, read + 1), (writers + place, -2))
                found.append(("write", changed(state, *after)))
        return found

    return (number, *[0] * (number + 1), *[-1] * number), successors


def philosophers(number: int) -> tuple[State, Successors]:
    # Of each philosopher how many steps it has made; then the forks.
    def successors(state: State) -> list[tuple[str, State]]:
        found = []
        for place in range(number):
            made = state[place]
            first, second = number + place, number + (place + 1) % number
            fork, taken = ((first, 1), (second, 1), (second, 0), (first, 0), (first, 0))[made]
            if made < 4 and not (taken and state[fork]):
                found.append(("step", changed(state, (place, made + 1), (fork, taken))))
        return found

    return (*[0] * number, *[0] * number), successors


def counter(number: int) -> tuple[State, Successors]:
    # Of each task its steps and what it has read; then the mutex and the counter.
    mutex, shared = 2 * number, 2 * number + 1

    def successors(state: State) -> list[tuple[str, State]]:
        found = []
        for place in range(number):
            made, read = state[place], state[number + place]
            after = (
                ((mutex, 1),),
                ((number + place, state[shared]),),
                ((shared, read + 1),),
                ((mutex, 0), (number + place, 0)),
                (),
            )[made]
            if made < 4 and not (made == 0 and state[mutex]):
                found.append(("step", changed(state, (place, made + 1), *after)))
        return found

    return (*[0] * number, *[0] * number, 0, 0), successors


MAKERS = {"lastzero": last_zero, "philosophers": philosophers, "counter": counter}


def main() -> None:
    maker, _, numbers = sys.argv[1].rstrip(")").partition("(")
    initial, successors = MAKERS[maker](int(numbers))
    protocol = Protocol(
        name=maker,
        candidate=False,
        fields=tuple(f"v{place}" for place in range(len(initial))),
        initial=initial,
        transitions=successors,
        invariants={"nothing": lambda values: True},
    )
    result = check_safety(protocol, max_states=MOST)
    print(result)


if __name__ == "__main__":
    main()
