"""The shared state: values of cells with their past, so that steps can be taken back.

Also the clocks that tell data races.  A clock has one number per task: how far that task is
known to have come.  Locks and atomic words carry clocks from the task that lets go to the
task that comes next.  Two accesses to a plain cell, at least one of them a write, that no
such chain orders are a data race; FastTrack (Flanagan and Freund, PLDI 2009) is the method.
A clock is never changed once somebody else can see it.

Everything here is undone by `undo`, entry by entry, back to before any step.
"""

from collections.abc import Callable
from typing import Any, Final, final

from pfnlab.engine.label import NOTHING, Label

Clock = list[int]

# What an entry of the log puts back, if it is neither a Change nor a task that has ended.
_CLOCK: Final = 0
_SYNC: Final = 1
_READERS: Final = 2
_WROTE: Final = 3
_READ: Final = 4
_STARTED: Final = 5
_PARKED: Final = 6
_WAITING: Final = 7


@final
class Access:
    """Who touched a plain cell, at which time of its own clock, in which step."""

    def __init__(self, task: int, time: int, step: int, event: int, write: bool) -> None:
        self.task: Final = task
        self.time: Final = time
        self.step: Final = step  # as numbered in a trace
        self.event: Final = event  # the visible step that it belongs to
        self.write: Final = write


@final
class Change:
    """A write to a cell: in which event, over which value, and after which other write."""

    def __init__(self, number: int, event: int, was: Any, earlier: "Change | None") -> None:
        self.number: Final = number
        self.event: Final = event
        self.was: Final = was
        self.earlier: Final = earlier


@final
class Store:
    """All cells of a program, by number, and the state of its tasks."""

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.newest: list[Change | None] = []  # of each cell: how it got its value
        self.members: dict[int, list[int]] = {}  # of each collection
        self.collection: list[int] = []  # that a cell is in, or -1
        self.plain = False  # whether there are plain cells, and so clocks to keep
        self.event = -1  # the step that is being made; -1 while a scenario is set up
        self.step = 0  # its number in a trace
        self.log: list[Any] = []
        self.marks: list[int] = []  # length of the log before each event
        self.label: Label = NOTHING  # of the step made last
        self.race: Access | None = None  # with which the plain access made last races
        # clocks
        self.clocks: list[Clock] = []
        self.sync: list[Clock | None] = []  # what a cell carries from who wrote or let go
        self.readers: list[Clock | None] = []  # what readers of a lock have let go with
        self.wrote: list[Access | None] = []
        self.read: list[tuple[Access, ...]] = []
        # tasks
        self.started: list[bool] = []
        self.ended: list[bool] = []
        self.parked: list[bool] = []  # a rule broke here: the task stays where it is
        self.waiting: list[Callable[[], bool] | None] = []  # a task in RETRY: may it go on?
        self.retrying: list[Label] = []  # the label of that wait

    def new_cell(self, value: Any, collection: int = -1, plain: bool = False) -> int:
        """Room for one more cell; returns its number."""
        number = len(self.values)
        self.values.append(value)
        self.newest.append(None)
        self.sync.append(None)
        self.readers.append(None)
        self.wrote.append(None)
        self.read.append(())
        self.collection.append(collection)
        if collection >= 0:
            self.members.setdefault(collection, []).append(number)
        if plain:
            self.plain = True
        return number

    def begin(self, tasks: int, lazy: frozenset[int]) -> None:
        """The scenario has been set up: what is now is the first state."""
        self.clocks = [[int(task == other) for other in range(tasks)] for task in range(tasks)]
        self.started = [task not in lazy for task in range(tasks)]
        self.ended = [False] * tasks
        self.parked = [False] * tasks
        self.waiting = [None] * tasks
        self.retrying = [NOTHING] * tasks
        self.log.clear()
        self.newest = [None] * len(self.values)
        self.sync = [None] * len(self.values)
        self.readers = [None] * len(self.values)
        self.wrote = [None] * len(self.values)
        self.read = [()] * len(self.values)

    # ---- values and their past

    def write(self, number: int, value: Any) -> None:
        change = Change(number, self.event, self.values[number], self.newest[number])
        self.newest[number] = change
        self.values[number] = value
        self.log.append(change)

    def value_at(self, number: int, event: int) -> Any:
        """What a cell held before an event."""
        value, change = self.values[number], self.newest[number]
        while change is not None and change.event >= event:
            value, change = change.was, change.earlier
        return value

    def changed_in(self, number: int, event: int) -> bool:
        """Whether an event wrote a cell."""
        change = self.newest[number]
        while change is not None and change.event > event:
            change = change.earlier
        return change is not None and change.event == event

    def begin_event(self) -> None:
        self.event = len(self.marks)
        self.marks.append(len(self.log))

    def undo(self, event: int) -> None:
        """Take back every event from this one on; at 0 also what came before the first one."""
        if event >= len(self.marks) and event > 0:
            return
        log, length = self.log, self.marks[event] if event > 0 else 0
        undone = log[length:]  # mypyc does not compile reversed() of it
        undone.reverse()
        for entry in undone:
            if isinstance(entry, Change):
                number = entry.number
                self.values[number] = entry.was
                self.newest[number] = entry.earlier
            elif isinstance(entry, int):
                self.ended[entry] = False
            else:
                self._put_back(entry)
        del log[length:]
        del self.marks[event:]
        self.event = event - 1

    def _put_back(self, entry: tuple[int, int, Any]) -> None:
        what, place, old = entry
        if what == _CLOCK:
            self.clocks[place] = old
        elif what == _SYNC:
            self.sync[place] = old
        elif what == _READERS:
            self.readers[place] = old
        elif what == _WROTE:
            self.wrote[place] = old
        elif what == _READ:
            self.read[place] = old
        elif what == _STARTED:
            self.started[place] = old
        elif what == _WAITING:
            self.waiting[place], self.retrying[place] = old
        else:
            self.parked[place] = old

    def park(self, task: int) -> None:
        if not self.parked[task]:
            self.log.append((_PARKED, task, False))
            self.parked[task] = True

    def try_again(self, task: int, changed: Callable[[], bool], label: Label) -> None:
        """A task waits until anything that it has seen has changed."""
        self.log.append((_WAITING, task, (self.waiting[task], self.retrying[task])))
        self.waiting[task], self.retrying[task] = changed, label

    def retry_label(self, task: int) -> Label:
        return self.retrying[task]

    def end(self, task: int) -> None:
        self.log.append(task)
        self.ended[task] = True

    def start(self, task: int, starter: int) -> None:
        self.log.append((_STARTED, task, False))
        self.started[task] = True
        if self.plain:
            self.learn(task, self.clocks[starter])
            self.advance(starter)

    # ---- clocks

    def learn(self, task: int, clock: Clock | None) -> None:
        """A task comes after whoever left this clock."""
        if clock is None:
            return
        mine = self.clocks[task]
        for place in range(len(clock)):
            if clock[place] > mine[place]:
                self.log.append((_CLOCK, task, mine))
                self.clocks[task] = [max(pair) for pair in zip(mine, clock, strict=True)]
                return

    def publish(self, task: int, number: int) -> None:
        """Leave the task's clock at a cell, for who comes next; its own time goes on."""
        self.hand_over(number, self.clocks[task])
        self.advance(task)

    def publish_read(self, task: int, number: int) -> None:
        """As a reader that lets go: those who read at the same time leave theirs too."""
        before, mine = self.readers[number], self.clocks[task]
        self.log.append((_READERS, number, before))
        self.readers[number] = (
            mine if before is None else [max(pair) for pair in zip(before, mine, strict=True)]
        )
        self.advance(task)

    def hand_over(self, number: int, clock: Clock) -> None:
        self.log.append((_SYNC, number, self.sync[number]))
        self.sync[number] = clock

    def advance(self, task: int) -> None:
        """What a task does from now on is not known to who has its clock already."""
        mine = self.clocks[task]
        self.log.append((_CLOCK, task, mine))
        later = mine.copy()
        later[task] = self.event + 2
        self.clocks[task] = later

    # ---- accesses to plain cells

    def access(self, task: int, number: int, write: bool) -> Access | None:
        """Note an access; return an earlier one that it races with, if there is one."""
        clock = self.clocks[task]
        wrote, read = self.wrote[number], self.read[number]
        time = clock[task]
        if not write:
            for other in read:
                if other.task == task and other.time == time:
                    return None  # it has looked before, and learned nothing since
        access = Access(task, time, self.step, self.event, write)
        race = None
        if wrote is not None and wrote.task != task and wrote.time > clock[wrote.task]:
            race = wrote
        if write:
            for other in read:
                if race is None and other.task != task and other.time > clock[other.task]:
                    race = other
            self.log.append((_WROTE, number, wrote))
            self.wrote[number] = access
            if read:
                self.log.append((_READ, number, read))
                self.read[number] = ()
        else:
            self.log.append((_READ, number, read))
            self.read[number] = (*[other for other in read if other.task != task], access)
        return race

    def fresh(self, number: int) -> None:
        """A cell of an object that is made now: nobody has touched it."""
        if self.wrote[number] is not None:
            self.log.append((_WROTE, number, self.wrote[number]))
            self.wrote[number] = None
        if self.read[number]:
            self.log.append((_READ, number, self.read[number]))
            self.read[number] = ()
        if self.sync[number] is not None:
            self.log.append((_SYNC, number, self.sync[number]))
            self.sync[number] = None
        if self.readers[number] is not None:
            self.log.append((_READERS, number, self.readers[number]))
            self.readers[number] = None
