"""Executions in which the code of tasks runs, as the policies that do not reduce make them."""

from pfnlab.engine.execution import Execution
from pfnlab.explorer.keep import Kept
from pfnlab.explorer.policy import Policy, options


def run_code(
    execution: Execution, policy: Policy, kept: Kept, depth: int | None
) -> tuple[bool, bool]:
    """One execution, as a policy chooses its steps; what breaks is kept as it happens.

    Returns whether it came to its end, and whether a task had more steps than `depth` lets it make.
    """
    execution.restart()
    noted = _keep_new(execution, kept, 0)
    finished, cut = True, False
    while True:
        every = options(execution)
        enabled = every
        if depth is not None:
            tasks = execution.program.tasks
            enabled = [choice for choice in every if tasks[choice.task].steps < depth]
        if not enabled:
            cut = bool(every)
            if not every:
                execution.finish()
            _keep_new(execution, kept, noted)
            break
        choice = policy.choose(execution, enabled)
        if choice is None:
            finished = execution.violation is not None
            break
        execution.fire(execution.program.tasks[choice.task], choice.option)
        noted = _keep_new(execution, kept, noted)
        for note in execution.notes:
            if note.event == len(execution.events) - 1:
                kept.note(execution, note)
    policy.end(execution, finished)
    return finished, cut


def _keep_new(execution: Execution, kept: Kept, noted: int) -> int:
    """Keep new failures at the moment they happen; count all so far."""
    for broken in execution.broken[noted:]:
        kept.failure(execution, broken)
    if execution.broken and not noted:
        kept.failing += 1
    return len(execution.broken)


def steps_of(execution: Execution) -> int:
    """Of all tasks, as numbered in a schedule."""
    return sum(event.steps for event in execution.events)
