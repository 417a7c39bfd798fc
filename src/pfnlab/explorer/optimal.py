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
follows is found anew.  Executions may then turn out to be in vain.  When the tree of some state
outgrows `limit`, the whole search goes on in that way: a sequence that was weakly covered may
be dropped only where what it leads to is planned in full.
"""

from pfnlab.engine.event import Event
from pfnlab.engine.execution import Execution
from pfnlab.engine.label import NOTHING, dependent, sees_more
from pfnlab.engine.operation import CHOOSE, LOCK
from pfnlab.explorer.machine import Machine
from pfnlab.explorer.races import Other, between, mutex_free
from pfnlab.explorer.wakeup import COVERED, GROWN, WEAKLY, Branch, Frame, asleep, insert

TREE_LIMIT = 20_000  # branches put into the tree of one state


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
        self.frames = [Frame([], [])]
        self.continued = 0  # the task that made the last step
        self.in_vain = False  # the last execution was given up as one that was seen
        self.fell_back = False  # some tree has outgrown the limit, or labels did not tell enough
        self.started = False
        self.over = False

    def next(self) -> bool:
        """Run another execution; False if there is none left."""
        if self.over or (self.started and not self._backtrack()):
            self.over = True
            return False
        self.started = True
        self._extend()
        return True

    # ---- one execution

    def _extend(self) -> None:
        """Go on from the present state to the end."""
        machine, frames = self.machine, self.frames
        while True:
            frame = frames[-1]
            if not frame.tree and not self._open(frame):
                break
            branch = frame.tree[0]
            if branch.label is NOTHING and self.fell_back and not self._possible(frame, branch):
                continue
            frame.current = branch
            self.continued = branch.task
            label = branch.label = machine.make(branch.task, branch.choice).label
            sleep: list[Branch] = []
            for other in frame.sleep:
                if other.task != branch.task and not (
                    other.label.bits & label.bits and dependent(other.label, label)
                ):
                    sleep.append(other)
            frames.append(Frame(sleep, branch.after))
            if machine.stop:
                return
        if not self.in_vain:
            machine.finish()
        if not self.in_vain or not self.optimal or self.fell_back:
            machine.add_blocked()
            self._reverse_races()

    def _open(self, frame: Frame) -> bool:
        """Choose a step where nothing has been planned; False at the end."""
        machine = self.machine
        found = False
        task = self.continued
        for _ in range(machine.tasks):
            if machine.enabled(task):
                found = True
                for choice in range(machine.nodes[task].op.options):
                    if not (frame.sleep and self._sleeps(frame, task, choice)):
                        frame.tree.append(Branch(task, choice, NOTHING))
                if frame.tree:
                    break
            task = task + 1 if task + 1 < machine.tasks else 0
        self.in_vain = found and not frame.tree
        return bool(frame.tree)

    def _possible(self, frame: Frame, branch: Branch) -> bool:
        """Whether a step that was only guessed can happen; if so, with all its choices."""
        if not self.machine.enabled(branch.task):
            del frame.tree[0]
            return False
        for choice in range(1, self.machine.nodes[branch.task].op.options):
            if not any(b.task == branch.task and b.choice == choice for b in frame.tree):
                frame.tree.append(Branch(branch.task, choice, NOTHING))
        return True

    def _sleeps(self, frame: Frame, task: int, choice: int) -> bool:
        for other in frame.sleep:
            if other.task == task and other.choice == choice:
                return True
        return False

    def _backtrack(self) -> bool:
        """Back to the newest state from which something is left to try."""
        frames = self.frames
        while frames:
            frame = frames[-1]
            current = frame.current
            if current is not None:
                frame.sleep.append(current)
                frame.tried += 1
                del frame.tree[0]
                frame.current = None
                if not self.optimal or self.fell_back:
                    frame.tree[:] = [
                        branch
                        for branch in frame.tree
                        if not self._sleeps(frame, branch.task, branch.choice)
                    ]
            if frame.tree:
                break
            frames.pop()
        if not frames:
            return False
        self.machine.undo(len(frames) - 1)
        return True

    # ---- races

    def _reverse_races(self) -> None:
        machine = self.machine
        done = machine.race_done
        for place in range(len(done)):
            if not done[place]:
                done[place] = self._reverse(machine.race_first[place], machine.race_second[place])

    def _reverse(self, first: int, second: int) -> bool:
        """See that the other order of a race is tried; whether that is settled for good."""
        machine, frame = self.machine, self.frames[first]
        if second >= 0:
            event = machine.events[second]
            node = event.node
            if (node.fixed and not (machine.rules and event.label.writes)) or (
                node.code == LOCK and mutex_free(machine, node.op.number, first, second)
            ):
                # Nothing that comes before it now changes how it ends.
                positions = between(machine.events, first, second)
                sequence = [machine.events[position] for position in positions]
                sequence.append(event)
                return self._insert(frame, sequence, positions, first, second)
        other = Other(machine, first, second)
        sequences = other.sequences()
        if sequences is None:
            self._try_everything(frame, first)
            return False
        settled = bool(sequences) and second >= 0
        for sequence in sequences:
            if not self._insert(frame, sequence, other.between, first, second):
                settled = False
        return settled

    def _insert(
        self, frame: Frame, sequence: list[Event], positions: list[int], first: int, second: int
    ) -> bool:
        how = asleep(frame.sleep, sequence)
        if how == COVERED:
            return self._settles(sequence, positions, first, second)
        if not self.optimal or self.fell_back or frame.size > self.limit:
            self.fell_back = self.fell_back or self.optimal
            self._want_first(frame, sequence)
            return False
        if how == WEAKLY:
            return False
        how, added = insert(frame.tree, sequence, frame.current)
        frame.size += added
        if how == WEAKLY:
            return False
        return self._settles(sequence, positions, first, second)

    def _settles(
        self, sequence: list[Event], positions: list[int], first: int, second: int
    ) -> bool:
        """Whether the sequence would be no other, whatever came after the second event.

        It would if a choice did, or what the second event, as it ends now, depends on.
        """
        events = self.machine.events
        if second < 0:
            return False
        for position in reversed(positions):
            if position < second:
                break
            if events[position].node.code == CHOOSE:
                return False
        label, before = sequence[-1].label, events[second].label
        return label is before or not sees_more(label, before, events[first].label)

    def _want_first(self, frame: Frame, sequence: list[Event]) -> None:
        """Source-DPOR: some step that could begin the sequence must be tried."""
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

    def _try_everything(self, frame: Frame, position: int) -> None:
        """Labels do not tell how a wait can end: try every task that was enabled there."""
        self.fell_back = True
        machine = self.machine
        wanted = {branch.task for branch in frame.tree}
        for task in range(machine.tasks):
            if task in wanted or self._sleeps(frame, task, 0):
                continue
            frame.tree.append(Branch(task, 0, NOTHING))


__all__ = ["COVERED", "GROWN", "Optimal"]
