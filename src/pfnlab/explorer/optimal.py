"""Every interleaving up to independence, each exactly once: Optimal-DPOR.

After each execution look for races: two dependent steps of different tasks that nothing else
orders.  The other order of each must be tried too.  It is put, as a whole sequence, into the
wakeup tree of the state before the first of the two, unless something that was tried, or will
be, begins it already.  Sleep sets say what was tried.  No execution is begun in vain, and
none comes twice (Abdulla, Aronis, Jonsson, Sagonas, POPL 2014 and JACM 2017).

What the paper leaves out, and locks need (each found by comparing with brute force):
operations that are still blocked at the end race too; a wait races with every earlier acquire,
not with the newest alone; where the other order would block, who stands in the way is left
out of it; a race that is only weakly covered is looked at again in the next execution; and
the alternatives of a choice become branches only where it is met first.

With `optimal` off it is Source-DPOR: of each sequence only the first step is kept, and what
follows is found anew.  Executions may then turn out to be in vain.  When the trees together
outgrow `limit`, the whole search goes on in that way: a sequence that was weakly covered may
be dropped only where what it leads to is planned in full.

A search may be a part of a greater one (slices.py): then the frames before `base` are copies,
whose branches somebody else explores.  What races want there is kept in `above`.
"""

from pfnlab.engine.event import Event
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import NOTHING, sees_more
from pfnlab.engine.operation import PLAIN
from pfnlab.explorer.ends import add_blocked, finish, left
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.races import Other
from pfnlab.explorer.source import possible, sleeps, try_everything, want_first
from pfnlab.explorer.swap import chooses, is_same, swapped, tried
from pfnlab.explorer.trie import Step
from pfnlab.explorer.wakeup import (
    COVERED,
    GROWN,
    LENT,
    WEAKLY,
    Branch,
    Frame,
    asleep,
    grow,
    insert,
    step_of,
    still_asleep,
)

TREE_LIMIT = 2_000_000  # steps in all trees at the same time


class Optimal:
    """The search over one program; `next` runs one execution to its end."""

    def __init__(
        self,
        execution: Execution,
        *,
        optimal: bool = True,
        limit: int = TREE_LIMIT,
        depth: int | None = None,
    ) -> None:
        self.machine = Machine(execution, depth)
        self.optimal = optimal
        self.limit = limit
        self.frames = [Frame([])]
        # Of states that were left, to be used again: to make one takes as long as a step.
        self.spare: list[Frame] = []
        # Who is asked for a step: the task that made the last one, as long as it can, so that
        # what others do is undone as late as can be; then the first one that can.
        tasks = range(self.machine.tasks)
        self.order = [[last, *(task for task in tasks if task != last)] for last in tasks] or [[]]
        self.in_vain = False  # the last execution was given up as one that was seen
        self.planned = 0  # steps in all trees
        self.fell_back = False  # the trees have outgrown the limit, or labels did not tell enough
        self.runs = 0  # executions that have ended
        self.started = False
        self.over = False
        # of a part of a search
        self.base = 0  # frames before this one belong to others
        self.waiting = False  # nothing is left but what others explore
        self.above: list[tuple[int, list[Event]]] = []  # wanted before `base`

    def next(self) -> bool:
        """Run another execution; False if there is none left."""
        while not self.over:
            if self.started and not self._backtrack():
                self.over = True
                break
            self.started = True
            if self._extend():
                self.runs += 1
                return True
        return False

    @property
    def more(self) -> bool:
        """Whether there may be another execution."""
        return any(frame.tree or frame.lent for frame in self.frames[self.base :])

    # ---- one execution

    def _extend(self) -> bool:
        """Go on from the present state to the end; False where others have gone all ways."""
        machine, frames, spare, runs = self.machine, self.frames, self.spare, self.runs
        self.in_vain = False
        frame = frames[-1]
        then: list[Branch] | None = None  # planned after the steps of a row
        while True:
            if then:
                frame.tree, then = then, None
            tree = frame.tree
            opened = self._open(frame) if not tree else None
            if opened is not None:
                row: tuple[Step, ...] = (opened,)
            elif not tree:
                break
            elif tree[0].lent and not self._pass(frame):
                return False
            else:
                branch = tree[0]
                if self.fell_back:
                    if branch.step.label is NOTHING and not possible(machine, frame, branch):
                        continue
                    row, then = (branch.step,), branch.after  # each may be a choice
                else:
                    row, then = branch.row[branch.place : branch.stop], branch.then
                del tree[0]
                self.planned -= len(row)
            for step in row:
                event = machine.make(step.task, step.choice)
                label = event.label
                frame.current = step if step.label is label else step_of(event)
                sleep = frame.sleep
                if sleep:
                    sleep = still_asleep(sleep, step.task, label)
                if spare:
                    frame = spare.pop()
                    frame.current, frame.sleep, frame.since, frame.tried = None, sleep, runs, 0
                else:
                    frame = Frame(sleep, runs)
                frames.append(frame)
                if machine.stop:
                    return True
        tasks = left(machine)
        if not self.in_vain:
            finish(machine, tasks)
        if not self.in_vain or not self.optimal or self.fell_back:
            add_blocked(machine, tasks)
            self._reverse_races()
        return True

    def _pass(self, frame: Frame) -> bool:
        """Leave out what others explore; whether anything can be done now.

        What is planned after a branch may grow as long as others explore one before it.
        """
        while frame.tree and frame.tree[0].lent:
            branch = frame.tree.pop(0)
            self.planned -= branch.stop - branch.place
            frame.sleep = [*frame.sleep, branch.step]
            frame.tried += 1
            if branch.lent == LENT:
                frame.lent = (*frame.lent, branch.step)
        return bool(frame.tree) and not (frame.lent and not frame.tree[0].leaf)

    def _open(self, frame: Frame) -> Step | None:
        """Choose a step where nothing has been planned; of a choice, plan each option."""
        machine, sleep = self.machine, frame.sleep
        actors, events = machine.actors, machine.events
        found = False
        for task in self.order[events[-1].task if events else 0]:
            node = actors[task].node
            if node.code < PLAIN and machine.enabled(task):
                found = True
                options = node.op.options
                if options == 1:
                    if not (sleep and sleeps(frame, task, 0)):
                        return node.step or Step(task, 0, NOTHING)
                    continue
                for choice in range(options):
                    if not (sleep and sleeps(frame, task, choice)):
                        frame.tree.append(Branch((Step(task, choice, NOTHING),)))
                self.planned += len(frame.tree)
                if frame.tree:
                    return None
        self.in_vain = found
        return None

    def _backtrack(self) -> bool:
        """Back to the newest state from which something is left to try."""
        frames, base = self.frames, self.base
        for depth in range(len(frames) - 1, base - 1, -1):
            frame = frames[depth]
            if not frame.tree and not frame.lent:
                continue
            current = frame.current
            if current is not None:
                frame.sleep = [*frame.sleep, current]
                frame.tried += 1
                frame.current = None
                if not self.optimal or self.fell_back:
                    frame.tree = [
                        branch
                        for branch in frame.tree
                        if not sleeps(frame, branch.step.task, branch.step.choice)
                    ]
            if self._pass(frame):
                self.spare += frames[depth + 1 :]  # nothing is planned there, nor lent
                del frames[depth + 1 :]
                self.machine.undo(depth)
                return True
            if frame.lent:
                del frames[depth + 1 :]
                self.waiting = True
                return False
        del frames[base:]
        return False

    # ---- races

    def _reverse_races(self) -> None:
        machine = self.machine
        machine.races = [race for race in machine.races if not self._reverse(race[0], race[1])]

    def _reverse(self, first: int, second: int) -> bool:
        """See that the other order of a race is tried; whether that is settled for good."""
        machine = self.machine
        if second >= 0 and is_same(machine, first, second):
            frame = self.frames[first]
            how = tried(machine, frame.sleep, first, second)
            if how == GROWN or (how == WEAKLY and (not self.optimal or self.fell_back)):
                # The present step races with the last of them, and its task makes none: it begins
                # no such sequence.
                others = [branch.row[branch.place] for branch in frame.tree]
                new = not others or tried(machine, others, first, second) == GROWN
                how = self.plan(first, swapped(machine.events, first, second), new=new)
            return how != WEAKLY and not (machine.chooses and chooses(machine, first, second))
        other = Other(machine, first, second)
        sequences = other.sequences()
        if sequences is None:
            self.fell_back = True
            try_everything(self.frames[first], machine.tasks)
            return False
        settled = bool(sequences) and second >= 0
        for sequence in sequences:
            how = self.want(first, sequence)
            if how == WEAKLY or not self._settles(sequence, first, second):
                settled = False
        return settled

    def want(self, depth: int, sequence: list[Event]) -> int:
        """A sequence must be tried from the state at this depth: GROWN, COVERED or WEAKLY."""
        how = asleep(self.frames[depth].sleep, sequence)
        if how == GROWN or (how == WEAKLY and (not self.optimal or self.fell_back)):
            return self.plan(depth, sequence, self.frames[depth].current)
        return how

    def plan(
        self, depth: int, sequence: list[Event], current: Step | None = None, *, new: bool = False
    ) -> int:
        """As want(), of a sequence that was not tried, unless the `current` step begins it.

        It is `new` if nothing that is planned begins it.
        """
        frame = self.frames[depth]
        if not self.optimal or self.fell_back or self.planned > self.limit:
            self.fell_back = self.fell_back or self.optimal
            want_first(frame, sequence)
            return WEAKLY
        if new:
            how, added = GROWN, grow(frame.tree, sequence)
        else:
            how, added = insert(frame.tree, sequence, current)
        self.planned += added
        if added and depth < self.base:
            self.above.append((depth, sequence))
        return how

    def _settles(self, sequence: list[Event], first: int, second: int) -> bool:
        """Whether the sequence would be no other, whatever came after the second event.

        It would if a choice did, or what the second event, as it ends now, depends on.
        """
        events = self.machine.events
        if second < 0 or (self.machine.chooses and chooses(self.machine, first, second)):
            return False
        label, before = sequence[-1].label, events[second].label
        return label is before or not sees_more(label, before, events[first].label)


__all__ = ["COVERED", "GROWN", "Optimal"]
