"""Tasks: greenlets with a name, a pending operation and the locks they hold.

A task is a function of the results of its operations: it announces one, is told the result,
and announces the next.  So it can be run again along a history that is known, without
anybody making those steps: it is fed the results.

A new greenlet costs more than a whole short run, so workers are pooled: a worker runs one
task after another, and a task that is given up is unwound by `Abandoned` and leaves its
worker ready for the next.
"""

import sys
from collections.abc import Callable
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, Final, NamedTuple, final

from greenlet import getcurrent, greenlet

from pfnlab.engine.cell import Cell
from pfnlab.engine.errors import Abandoned, ModelError, defined_at
from pfnlab.engine.operation import END, RETRY, Operation
from pfnlab.engine.spin import Looked

_NEVER_RUN: Final = (GeneratorType, CoroutineType, AsyncGeneratorType)
ENDED: Final = Operation(END, "end", counted=False)


class Hold(NamedTuple):
    """A lock that a task holds, and the step that took it; `spins` if it is a spinlock."""

    lock: Cell
    mode: str  # "", "read" or "write"
    step: int
    site: str = ""
    spins: bool = False


@final
class Task:
    """One actor of a program."""

    def __init__(
        self, name: str, index: int, function: Callable[[], Any], lazy: bool = False
    ) -> None:
        self.name = name
        self.index = index
        self.function = function
        self.lazy = lazy  # begins when another task starts it
        self.signal: Cell | None = None  # the fatal signal, where a program sends one
        self.worker: Worker | None = None
        self.looked: Final = Looked()
        self.restart()

    def restart(self, fed: list[Any] | None = None) -> None:
        """Before the first operation; the results of the first ones may be known."""
        self.pending: Operation | None = None
        self.fed: list[Any] = fed if fed is not None else []
        self.looked.clear()
        self.made = 0  # operations so far: the length of the history
        self.finished = False
        self.abandoned = False
        self.steps = 0  # as numbered in a schedule
        self.since = -1  # the length of the history when the task began to try
        self.created = 0  # objects made so far: part of the next one's identity
        self.held: list[Hold] = []
        self.wrong: ModelError | None = None  # if it goes on
        self.flags = 0  # its own, as task->flags in the kernel: nobody else looks at them
        self.works: list[Callable[[], None]] = []  # put off until no lock is held

    def holds(self, lock: Cell) -> Hold | None:
        for hold in reversed(self.held):
            if hold.lock is lock:
                return hold
        return None

    def __repr__(self) -> str:
        return f"<Task {self.name}>"


@final
class Worker:
    """A greenlet that runs tasks, one at a time, for ever."""

    def __init__(self) -> None:
        self.task: Task | None = None
        self.error: BaseException | None = None
        self.greenlet = greenlet(self._serve)

    def _serve(self, *_: object) -> None:
        while True:
            task = self.task
            assert task is not None
            try:
                made: Any = task.function()
                if isinstance(made, _NEVER_RUN):
                    if isinstance(made, CoroutineType):
                        made.close()  # or Python warns of it
                    raise ModelError(
                        f"task {task.name} is a generator, or async: its code would never run; "
                        "a task is a plain function",
                        defined_at(task.function),
                    )
            except Abandoned:
                pass
            except Exception as error:  # the program's fault: whoever runs it is told
                note = f"in task {task.name}"
                if note not in getattr(error, "__notes__", ()):  # if not raised before (Raised)
                    error.add_note(note)
                self.error = error
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                wrong = ModelError(
                    f"task {task.name} raised {type(error).__name__}: return instead"
                )
                self.error = wrong.with_traceback(error.__traceback__)
            task.finished = True
            task.pending = ENDED
            self.task = None
            _pause()


@final
class WorkerPool:
    """Starts, resumes and abandons tasks."""

    def __init__(self) -> None:
        self.idle: list[Worker] = []

    def start(self, task: Task) -> Operation:
        """Run a task up to the first operation whose result it has not been fed."""
        worker = self.idle.pop() if self.idle else Worker()
        worker.task = task
        worker.greenlet.parent = getcurrent()
        task.worker = worker
        worker.greenlet.switch()
        return self._settle(task)

    def resume(self, task: Task, result: Any) -> Operation:
        """Give a task the result of its operation and run it up to the next one."""
        worker = task.worker
        assert worker is not None
        worker.greenlet.switch(result)
        if not task.finished:
            assert task.pending is not None
            return task.pending
        return self._settle(task)

    def abandon(self, task: Task) -> None:
        """Unwind a task that will not go on."""
        worker = task.worker
        if worker is not None and not task.finished:
            task.abandoned = True
            task.worker = None
            if worker.greenlet.dead:  # Ctrl-C came while the task's own code ran
                return
            worker.greenlet.throw(Abandoned())
            worker.error = None
            self.idle.append(worker)

    def _settle(self, task: Task) -> Operation:
        worker = task.worker
        if task.finished and worker is not None:
            error, worker.error = worker.error, None
            task.worker = None
            self.idle.append(worker)
            if error is not None:
                raise error
        assert task.pending is not None
        return task.pending


def announce(task: Task, operation: Operation) -> Any:
    """Tell the engine what the running task does next; returns the result.

    A task that goes round in circles waits until something that it sees has changed.
    """
    looked = task.looked
    if task.since < 0 and (operation.looks or operation.tries):
        if looked.again(operation.key):
            own = task.flags, task.created, len(task.works)
            length = looked.round(operation.key, sys._getframe(), own)
            if length:
                looked.clear()
                _answered(task, Operation(RETRY, "spin", value=task.made - length))
        result = _answered(task, operation)
        if operation.changed_nothing(result):
            looked.add(operation.key, result)
        else:
            looked.clear()
        return result
    looked.clear()
    return _answered(task, operation)


def _answered(task: Task, operation: Operation) -> Any:
    """The result of an operation: a known one, or what the engine resumes with."""
    made = task.made
    if made < len(task.fed):
        result = task.fed[made]
    else:
        task.pending = operation
        result = _pause()
    task.made = made + 1
    return result


def _pause() -> Any:
    """Give the processor back to the engine; return what it resumes with."""
    parent = getcurrent().parent
    if parent is None:
        raise ModelError(
            "shared state is used in a function of update() or wait_event(), which is part of a "
            "step and decides by the value that it is given; or in a thread, which is no task"
        )
    return parent.switch()
