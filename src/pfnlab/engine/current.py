"""Which execution is at work in this process, and whose code runs."""

from typing import TYPE_CHECKING, Any, Final, final

from pfnlab.engine.errors import Abandoned, ModelError
from pfnlab.engine.operation import END, Operation
from pfnlab.engine.raised import assertion_failed, error_met
from pfnlab.engine.task import Task, WorkerPool

if TYPE_CHECKING:
    from pfnlab.engine.execution import Execution
    from pfnlab.engine.record import Recorder
    from pfnlab.engine.watch import Watch

_OUTSIDE: Final = (
    "shared state is used outside of a scenario and its tasks, or in a function of update() or "
    "wait_event(), which decides by the value that it is given"
)


@final
class Current:
    """What the code of tasks and rules finds when it touches shared state.

    execution  the one at work
    task       whose code runs; the setup while a scenario is set up
    watch      of the execution, while it evaluates a rule
    recorder   of the execution, if it has one
    runs       how often the code of any task, or of a setup, has gone on
    """

    def __init__(self) -> None:
        self.execution: Execution | None = None
        self.task: Task | None = None
        self.watch: Watch | None = None
        self.recorder: Recorder | None = None
        self.runs = 0

    def enter(self, execution: "Execution", task: Task | None) -> None:
        """This execution is at work from now on."""
        self.execution, self.task, self.recorder = execution, task, execution.recorder


CURRENT: Final = Current()


def current_execution() -> "Execution":
    """The execution at work, also while a rule looks at its state."""
    if CURRENT.execution is None:
        raise ModelError(_OUTSIDE)
    return CURRENT.execution


def running() -> "tuple[Execution, Task]":
    """The execution, and the task whose code is running now."""
    return current_execution(), running_task()


def running_task() -> Task:
    """The task whose code is running now."""
    task = CURRENT.task
    if task is None:
        raise ModelError(_OUTSIDE)
    if task.abandoned:
        raise Abandoned
    return task


def run(pool: WorkerPool, task: Task, result: Any) -> Operation:
    """Run a task's own code up to its next announcement: from its beginning, or with a result."""
    before, CURRENT.task = CURRENT.task, task
    CURRENT.runs += 1
    try:
        op = pool.start(task) if task.worker is None else pool.resume(task, result)
    except AssertionError as error:
        if task.wrong is not None:  # a lock's word on this very error
            ModelError.last_one()
            task.wrong = None
        program = current_execution().program
        op = task.pending = assertion_failed(task, error, program, CURRENT.recorder)
    except Exception as error:
        recorder = CURRENT.recorder
        if recorder is None or not recorder.whole:
            raise
        ModelError.last_one()
        task.wrong = None
        op = task.pending = error_met(task, error, recorder)
    finally:
        CURRENT.task = before
    if task.wrong is not None:
        raise task.wrong
    if op.code == END:
        misuse = ModelError.last_one()
        if misuse is not None:
            raise misuse  # the task has caught it
    return op


def setting_up() -> bool:
    """Whether the scenario is being set up: no task runs yet."""
    return running_task().index < 0


def observing() -> "Watch | None":
    """The watch of the present execution while it evaluates a rule."""
    return CURRENT.watch
