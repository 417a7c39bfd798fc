"""Fatal signals: they end killable waits."""

from pfnlab.engine.access import atomically, read_word
from pfnlab.engine.cell import Cell
from pfnlab.engine.current import current_execution, running, running_task
from pfnlab.engine.task import Task


def kill(name: str) -> None:
    """Send a fatal signal to a task, by name.  One visible step."""
    execution, _task = running()
    task = execution.program.task_named(name)
    atomically((signal_of(task),), "kill", lambda _old: ((True,), None), detail=lambda _: name)


def fatal_signal_pending() -> bool:
    """Whether the running task has been killed.  One visible step."""
    pending: bool = read_word(signal_of(running_task()))
    return pending


def signal_of(task: Task) -> Cell:
    """The word that holds a task's signal; it exists from the first use on."""
    if task.signal is None:
        execution = current_execution()
        task.signal = Cell(execution.store, f"{task.name}.signal", False, atomic=True)
        execution.cells.append(task.signal)
    return task.signal
