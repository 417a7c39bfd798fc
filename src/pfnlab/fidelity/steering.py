"""Steering the model along a trace.

Between two events of a thread, what the model's task does has no event; it may happen at any
time in between, as seen from the other threads.  So every order is tried that the events leave
open: depth first, with a good guess first, and no state at one place of the trace is gone on
from twice.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pfnlab.fidelity.probe import Log
from pfnlab.fidelity.runner import Runner

MOST_STATES = 300_000
TELL_EVERY = 200  # states
Tell = Callable[[int], None]  # is told how many events are matched now


@dataclass(frozen=True)
class Expected:
    """An event of the trace in the terms of the model.

    place  in the trace
    args   what is compared, where the model's log has it too
    """

    place: int
    task: int
    kind: str
    args: Mapping[str, Any]

    def fits(self, log: Log) -> bool:
        if self.kind != log.kind:
            return False
        return all(name not in self.args or self.args[name] == value for name, value in log.args)


@dataclass(frozen=True)
class Stuck:
    """A way along the trace up to an event that cannot happen there.

    steps  tasks and options, to come to this place again
    log    what the model's task does instead; None if it waits, or has ended
    """

    steps: tuple[tuple[int, int], ...]
    log: Log | None


@dataclass(frozen=True)
class Steered:
    """What became of it: how many events were matched at most, and how it ended there."""

    matched: int
    stuck: tuple[Stuck, ...]
    complete: bool
    steps: int


@dataclass
class _Choice:
    """A place where more than one task could go on: those that are left to be tried."""

    left: list[tuple[int, int]]
    made: int
    place: int
    logs: list[tuple[Log, ...]]


class Steering:
    """One search."""

    def __init__(
        self,
        runner: Runner,
        expected: list[Expected],
        most: int = MOST_STATES,
        tell: Tell = lambda _place: None,
    ) -> None:
        self.tell = tell
        self.runner = runner
        self.expected = expected
        self.most = most
        self.place = 0  # of the next event
        self.best = -1
        self.stuck: dict[object, Stuck] = {}
        self.seen: set[object] = set()
        self.choices: list[_Choice] = []

    def run(self) -> Steered:
        """Follow the trace to its end, or to the first event that nothing leads to."""
        while not self._follow():
            if len(self.seen) > self.most:
                return self._result(complete=False)
            if not self._go_back():
                return self._result(complete=True)
        return self._result(complete=True)

    def _result(self, complete: bool) -> Steered:
        done = self.place == len(self.expected)
        matched = self.place if done else self.best
        found = [] if done else list(self.stuck.values())
        # A thread that waits is the reason only where no way leads on for it.
        stuck = tuple(each for each in found if each.log is not None) or tuple(found)
        return Steered(matched, stuck, complete, len(self.runner.made))

    def _follow(self) -> bool:
        """Go on until all events are matched, or no further."""
        runner = self.runner
        while self.place < len(self.expected):
            event = self.expected[self.place]
            logs = runner.logs[event.task]
            if logs:
                if not event.fits(logs[0]):
                    self._fail(event, logs[0])
                    return False
                runner.logs[event.task] = logs[1:]
                self.place += 1
                continue
            if event.kind == "lock.failed" and runner.try_fails(event.task):
                runner.try_again(event.task)
                self.place += 1
                continue
            state = (self.place, runner.changed, *map(id, runner.nodes), *map(len, runner.logs))
            if state in self.seen:
                return False
            self.seen.add(state)
            if len(self.seen) % TELL_EVERY == 0:
                self.tell(self.place)
            left = self._options(event.task)
            if not runner.ready(event.task):
                self._fail(event, None)
            if not left:
                return False
            self.choices.append(_Choice(left, len(runner.made), self.place, list(runner.logs)))
            self._take()
        return True

    def _options(self, first: int) -> list[tuple[int, int]]:
        """The steps that can be made now, the best guess last."""
        runner = self.runner
        tasks = [task for task in range(len(runner.nodes)) if runner.ready(task)]
        tasks.sort(key=lambda task: (runner.eager(task), task == first))
        return [
            (task, option)
            for task in tasks
            for option in reversed(range(runner.nodes[task].op.options))
        ]

    def _take(self) -> None:
        task, option = self.choices[-1].left.pop()
        self.runner.make(task, option)

    def _go_back(self) -> bool:
        while self.choices and not self.choices[-1].left:
            self.choices.pop()
        if not self.choices:
            return False
        choice = self.choices[-1]
        self.runner.undo(choice.made)
        self.runner.logs[:] = choice.logs
        self.place = choice.place
        self._take()
        return True

    def _fail(self, event: Expected, log: Log | None) -> None:
        if self.place > self.best:
            self.best = self.place
            self.stuck = {}
        if self.place == self.best:
            key = log if log is not None else self.runner.nodes[event.task].op.verb
            if key not in self.stuck:
                self.stuck[key] = Stuck(tuple(self.runner.made), log)
