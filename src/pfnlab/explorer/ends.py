"""The end of an execution: who is left, why they wait, and what their steps would race with."""

from pfnlab.engine.fire import pending_label
from pfnlab.engine.operation import JOIN, PLAIN
from pfnlab.explorer.machine import NO_DEPTH, Machine


def left(machine: Machine) -> list[int]:
    """The tasks that have announced a step and not made it."""
    if all(machine.store.ended):
        return []  # as nearly always
    return [task for task in range(machine.tasks) if machine.actors[task].node.code < PLAIN]


def finish(machine: Machine, tasks: list[int]) -> None:
    """None of these can go on: say which wait for each other, or for nothing."""
    if not tasks:
        return
    execution, store = machine.execution, machine.store
    execution.pending = [
        actor.node.op if actor.node.code < PLAIN and store.started[task] else None
        for task, actor in enumerate(machine.actors)
    ]
    for task in tasks:
        if machine.blocked(task):
            execution.deadlocked(task)
    if machine.depth != NO_DEPTH and any(_is_cut(machine, task) for task in tasks):
        machine.cut = True
    else:
        execution.finish()


def _is_cut(machine: Machine, task: int) -> bool:
    """Whether a task might go on, now or when others do, were it not for its number of steps."""
    store, actor = machine.store, machine.actors[task]
    return actor.steps >= machine.depth and store.started[task] and not store.parked[task]


def add_blocked(machine: Machine, tasks: list[int]) -> None:
    """The races of operations that are still blocked at the end."""
    for task in tasks:
        actor = machine.actors[task]
        node = actor.node
        if not node.waits or node.code == JOIN or not machine.store.started[task]:
            continue
        if actor.steps >= machine.depth or not actor.born:
            continue
        label = pending_label(machine.store, node.op, task)
        for place in machine.conflicts(label, machine.past_of(task), wait=True):
            theirs = machine.events[place]
            if not (label.blocking and machine.releases(theirs.label, label)):
                machine.races.append((place, -1 - task))


__all__ = ["add_blocked", "finish", "left"]
