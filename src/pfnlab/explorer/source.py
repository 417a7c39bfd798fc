"""Source-DPOR: single steps are planned and not sequences, and what follows is found anew.

After Abdulla, Aronis, Jonsson and Sagonas, POPL 2014.  It is a policy of its own, and what
Optimal-DPOR becomes when its trees outgrow their limit (optimal.py).
"""

from pfnlab.engine.event import Event
from pfnlab.engine.label import NOTHING, dependent
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.trie import Step
from pfnlab.explorer.wakeup import Branch, Frame, step_of


def sleeps(frame: Frame, task: int, choice: int) -> bool:
    """Whether this step is asleep."""
    for other in frame.sleep:
        if other.task == task and other.choice == choice:
            return True
    return False


def possible(machine: Machine, frame: Frame, branch: Branch) -> bool:
    """Whether a step that was only guessed can happen; if so, with all its choices."""
    task = branch.step.task
    if not machine.enabled(task):
        del frame.tree[0]
        return False
    planned = wanted(frame)
    for choice in range(1, machine.actors[task].node.op.options):
        if (task, choice) not in planned:
            frame.tree.append(Branch((Step(task, choice, NOTHING),)))
    return True


def wanted(frame: Frame) -> set[tuple[int, int]]:
    """The steps that are planned, the one that is taken among them."""
    steps = [branch.step for branch in frame.tree]
    if frame.current is not None:
        steps.append(frame.current)
    return {(step.task, step.choice) for step in steps}


def want_first(frame: Frame, sequence: list[Event]) -> None:
    """Some step that could begin the sequence must be tried."""
    planned = wanted(frame)
    first: Event | None = None
    for place, event in enumerate(sequence):
        begins = True
        for before in range(place):
            earlier = sequence[before]
            if earlier.task == event.task or dependent(earlier.label, event.label):
                begins = False
                break
        if not begins:
            continue
        if (event.task, event.choice) in planned:
            return
        if first is None:
            first = event
    assert first is not None
    frame.tree.append(Branch((step_of(first),)))


def try_everything(frame: Frame, tasks: int) -> None:
    """Labels do not tell how a wait can end: try every task, as far as it can go on there."""
    planned = {task for task, _choice in wanted(frame)}
    for task in range(tasks):
        if task not in planned and not sleeps(frame, task, 0):
            frame.tree.append(Branch((Step(task, 0, NOTHING),)))


__all__ = ["possible", "sleeps", "try_everything", "want_first"]
