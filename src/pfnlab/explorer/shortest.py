"""The shortest telling of a failure.

A failing execution is cut down to the causal past of the step that failed: what is
left is an execution of its own.  Among the orders of its steps that keep dependent ones
in place, take one with the fewest switches between tasks.  Over a complete search the
smallest of these is the shortest counterexample there is.
"""

from dataclasses import dataclass
from itertools import pairwise, takewhile

from pfnlab.engine.event import Event
from pfnlab.engine.execution import Broken, Execution
from pfnlab.engine.schedule import Part, format_schedule
from pfnlab.explorer.order import Order, order_of

EXACT_LIMIT = 100_000  # states of the exact search for few switches


@dataclass(frozen=True)
class Telling:
    """One way to run into a rule.  Tellings compare: fewer steps, fewer switches, text."""

    steps: int
    switches: int
    schedule: str

    def key(self) -> tuple[int, int, str]:
        return self.steps, self.switches, self.schedule


def whole(execution: Execution) -> Telling:
    """The execution as it ran."""
    return _telling(execution, execution.events)


def shortened(
    execution: Execution, broken: Broken, order: Order | None = None, most: int | None = None
) -> Telling | None:
    """The causal past of a failure in a readable order.

    None if another rule, which broke before, has a part in it: what follows from that tells
    nothing.  Also if it is longer than `most` steps.
    """
    events = execution.events
    if not events:
        return whole(execution)
    order = order or order_of(events)
    if not broken.waiting:  # or another of the steps would be the one that breaks the rule
        for first in broken.relevant - {broken.event}:
            order.put_before(first, broken.event)
    keep = set(broken.relevant)
    if not keep and not broken.cycle:  # that may be there before any event
        keep = {broken.event}
    past = order.past(keep)
    earlier = takewhile(lambda other: other is not broken, execution.broken)
    if any(not other.waiting and other.event in past for other in earlier):
        return None
    # A search sees a deadlock only when nobody can go on; it was there before.
    cycles = [other for other in execution.broken if other.cycle and other is not broken]
    if not broken.cycle and any(_before(other, broken, past) for other in cycles):
        return None
    if most is not None and sum(events[index].steps for index in past) > most:
        return None
    return _telling(execution, [events[index] for index in few_switches(order, past)])


def _before(cycle: Broken, broken: Broken, past: list[int]) -> bool:
    """Whether tasks waited for each other before a rule broke: after no event, from the start."""
    newest = max(cycle.relevant, default=-1)
    return newest < broken.event and cycle.relevant.issubset(past)


def _telling(execution: Execution, events: list[Event]) -> Telling:
    tasks = execution.program.tasks
    parts = [
        Part(tasks[event.task].name, event.steps, (event.choice,) if event.options > 1 else ())
        for event in events
    ]
    seen = [event.task for event in events if event.steps]
    switches = sum(first != second for first, second in pairwise(seen))
    return Telling(sum(event.steps for event in events), switches, format_schedule(parts))


def few_switches(order: Order, past: list[int]) -> list[int]:
    """The events of `past` in an order with the fewest switches that keeps dependences.

    Breadth-first over how far each task has come, cheapest first; the first task in
    order of declaration breaks ties.
    """
    lines: dict[int, list[int]] = {}
    for index in past:
        lines.setdefault(order.events[index].task, []).append(index)
    tasks = sorted(lines)
    states = 1
    for line in lines.values():
        states *= len(line) + 1
    if states > EXACT_LIMIT:
        return past

    def can_go(index: int, done: tuple[int, ...]) -> bool:
        past = order.pasts[index]
        return all(
            position == len(lines[task]) or not past >> lines[task][position] & 1
            for task, position in zip(tasks, done, strict=True)
            if task != order.events[index].task
        )

    # One layer for each number of switches; within a layer a task runs as far as it can.
    start = tuple(0 for _ in tasks)
    goal = tuple(len(lines[task]) for task in tasks)
    came: dict[tuple[tuple[int, ...], int], tuple[tuple[int, ...], int] | None] = {}
    layer: list[tuple[tuple[int, ...], int]] = []
    for place in range(len(tasks)):
        came[(start, place)] = None
        layer.append((start, place))
    while layer:
        reached: list[tuple[tuple[int, ...], int]] = []
        for state in layer:
            done, place = state
            while True:
                reached.append((done, place))
                if done == goal:
                    return _walk_back((done, place), came, tasks, lines)
                line = lines[tasks[place]]
                if done[place] == len(line) or not can_go(line[done[place]], done):
                    break
                further = (*done[:place], done[place] + 1, *done[place + 1 :])
                if (further, place) in came:
                    break
                came[(further, place)] = (done, place)
                done = further
        layer = []
        for done, place in reached:
            for other in range(len(tasks)):
                if other != place and (done, other) not in came:
                    came[(done, other)] = (done, place)
                    layer.append((done, other))
    return past


def _walk_back(
    state: tuple[tuple[int, ...], int],
    came: dict[tuple[tuple[int, ...], int], tuple[tuple[int, ...], int] | None],
    tasks: list[int],
    lines: dict[int, list[int]],
) -> list[int]:
    found: list[int] = []
    while True:
        before = came[state]
        if before is None:
            return found[::-1]
        if before[0] != state[0]:
            place = state[1]
            found.append(lines[tasks[place]][before[0][place]])
        state = before
