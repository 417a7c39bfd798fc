"""Tasks: greenlets with a name, a pending operation and the locks they hold.

A new greenlet costs more than a whole short run, so workers are pooled: a worker
runs one task after another, and a task that is given up is unwound by `Abandoned`
and leaves its worker ready for the next.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import greenlet

from pfnlab.engine.cell import Cell
from pfnlab.engine.clock import Clock
from pfnlab.engine.errors import Abandoned
from pfnlab.engine.label import Label


class Operation:
    """A visible step that a task has announced and not yet made.

    `perform(task, choice)` makes it and returns (label, result).  `ready(task)`
    says whether it can happen now, None that it always can.  `blocked` is the
    label to assume for it as long as it cannot.
    """

    __slots__ = (
        "blocked",
        "blockers",
        "counted",
        "detail",
        "options",
        "perform",
        "ready",
        "target",
        "verb",
    )

    def __init__(
        self,
        verb: str,
        target: Cell | None,
        perform: "Callable[[Task, int], tuple[Label, Any]]",
        *,
        ready: "Callable[[Task], bool] | None" = None,
        blocked: Label | None = None,
        blockers: "Callable[[Task], list[Task]] | None" = None,
        detail: Callable[[Any], str] | None = None,
        options: int = 1,
        counted: bool = True,
    ) -> None:
        self.verb = verb
        self.target = target
        self.perform = perform
        self.ready = ready
        self.blocked = blocked
        self.blockers = blockers
        self.detail = detail
        self.options = options
        self.counted = counted  # a step that readers see; the start of a task is none


@dataclass(frozen=True, slots=True)
class Hold:
    """A lock that a task holds, and the step that took it."""

    lock: Cell
    mode: str  # "", "read" or "write"
    step: int
    site: str = ""


class Task:
    """One actor of a program."""

    __slots__ = ("clock", "created", "events", "finished", "function", "held", "index", "name",
                 "parked", "pending", "signal", "steps", "watching", "worker", "works")  # fmt: skip

    def __init__(self, name: str, index: int, function: Callable[[], None]) -> None:
        self.name = name
        self.index = index
        self.function = function
        self.signal: Cell | None = None  # the fatal signal, where a program sends one
        self.worker: Worker | None = None
        self.restart(0)

    def restart(self, tasks: int) -> None:
        self.pending: Operation | None = None
        self.finished = False
        self.parked = False  # a rule broke here: the task stays where it is
        self.steps = 0
        self.events = 0  # visible steps made so far
        self.watching: Any = None  # what a loop that tries again has seen; see step.py
        self.created = 0  # objects made so far: part of the next one's identity
        self.held: list[Hold] = []
        self.works: list[Callable[[], None]] = []  # put off until no lock is held
        self.clock: Clock = [0] * tasks
        if tasks:
            self.clock[self.index] = 1

    def ready(self) -> bool:
        operation = self.pending
        if operation is None or self.parked:
            return False
        return operation.ready is None or operation.ready(self)

    def holds(self, lock: Cell) -> Hold | None:
        for hold in reversed(self.held):
            if hold.lock is lock:
                return hold
        return None

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


class Worker:
    """A greenlet that runs tasks, one at a time, for ever."""

    def __init__(self, pool: "WorkerPool") -> None:
        self.pool = pool
        self.task: Task | None = None
        self.error: BaseException | None = None
        self.greenlet = greenlet.greenlet(self._serve)

    def _serve(self, *_: object) -> None:
        while True:
            task = self.task
            assert task is not None
            try:
                task.function()
            except Abandoned:
                pass
            except (
                Exception,
                SystemExit,
            ) as error:  # the program's fault: handed to whoever runs it
                self.error = error
            task.finished = True
            task.pending = None
            self.task = None
            pause()


class WorkerPool:
    """Starts, resumes and abandons tasks."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []

    def start(self, task: Task) -> None:
        """Run a task up to its first announcement."""
        worker = self.idle.pop() if self.idle else Worker(self)
        worker.task = task
        worker.greenlet.parent = greenlet.getcurrent()
        task.worker = worker
        worker.greenlet.switch()
        self._settle(task)

    def resume(self, task: Task, result: Any) -> None:
        """Give a task the result of its step and run it up to the next announcement."""
        assert task.worker is not None
        task.worker.greenlet.switch(result)
        self._settle(task)

    def abandon(self, task: Task) -> None:
        """Unwind a task that will not go on."""
        worker = task.worker
        if worker is not None and not task.finished:
            task.parked = True
            task.worker = None
            if worker.greenlet.dead:  # Ctrl-C came while the task's own code ran
                return
            worker.greenlet.throw(Abandoned())
            worker.error = None
            self.idle.append(worker)

    def _settle(self, task: Task) -> None:
        worker = task.worker
        if task.finished and worker is not None:
            error, worker.error = worker.error, None
            task.worker = None
            self.idle.append(worker)
            if error is not None:
                raise error


def pause() -> Any:
    """Give the processor back to the engine; return what it resumes with."""
    parent = greenlet.getcurrent().parent
    assert parent is not None, "only tasks pause"
    return parent.switch()
