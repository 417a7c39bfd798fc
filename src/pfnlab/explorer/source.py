"""Source-DPOR: single steps are planned and not sequences, and what follows is found anew.

After Abdulla, Aronis, Jonsson and Sagonas, POPL 2014.  It is a policy of its own, and what
Optimal-DPOR becomes when its trees outgrow their limit (optimal.py).
"""

from pfnlab.engine.event import Event
from pfnlab.engine.label import NOTHING, dependent
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.wakeup import Branch, Frame


def sleeps(frame: Frame, task: int, choice: int) -> bool:
    """Whether this step is asleep."""
    for other in frame.sleep:
        if other.task == task and other.choice == choice:
            return True
    return False


def possible(machine: Machine, frame: Frame, branch: Branch) -> bool:
    """Whether a step that was only guessed can happen; if so, with all its choices."""
    if not machine.enabled(branch.task):
        del frame.tree[0]
        return False
    for choice in range(1, machine.actors[branch.task].node.op.options):
        if not any(b.task == branch.task and b.choice == choice for b in frame.tree):
            frame.tree.append(Branch(branch.task, choice, NOTHING))
    return True


def want_first(frame: Frame, sequence: list[Event]) -> None:
    """Some step that could begin the sequence must be tried."""
    wanted = {(branch.task, branch.choice) for branch in frame.tree}
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
        if (event.task, event.choice) in wanted:
            return
        if first is None:
            first = event
    assert first is not None
    frame.tree.append(Branch(first.task, first.choice, first.label))


def try_everything(frame: Frame, tasks: int) -> None:
    """Labels do not tell how a wait can end: try every task, as far as it can go on there."""
    wanted = {branch.task for branch in frame.tree}
    for task in range(tasks):
        if task not in wanted and not sleeps(frame, task, 0):
            frame.tree.append(Branch(task, 0, NOTHING))


__all__ = ["possible", "sleeps", "try_everything", "want_first"]
