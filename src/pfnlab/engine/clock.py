"""Vector clocks and the data race check.

A clock is a list with one number per task: how far that task is known to have
come.  Locks and atomic words carry clocks from the task that lets go to the task
that comes next.  Two accesses to a plain cell, at least one of them a write, that
no such chain orders are a data race; FastTrack (Flanagan and Freund, PLDI 2009)
is the method.
"""

from dataclasses import dataclass, field

Clock = list[int]


def join(into: Clock, other: Clock | None) -> None:
    """Raise each entry of `into` to at least that of `other`."""
    if other is not None:
        for index, value in enumerate(other):
            if value > into[index]:
                into[index] = value


@dataclass(slots=True)
class Access:
    """Who touched a cell, at which time of its own clock, in which step."""

    task: int
    time: int
    step: int
    event: int  # the visible step that it came with
    write: bool


@dataclass(slots=True)
class History:
    """The accesses to one plain cell that a later one may race with."""

    run: int = -1  # the run that these belong to; stale ones are dropped
    write: Access | None = None
    reads: dict[int, Access] = field(default_factory=dict)

    def start(self, run: int) -> None:
        self.run = run
        self.write = None
        self.reads.clear()

    def read(self, access: Access, clock: Clock) -> Access | None:
        """Note a read; return the write it races with, if any."""
        self.reads[access.task] = access
        return self._unordered(self.write, access.task, clock)

    def written(self, access: Access, clock: Clock) -> Access | None:
        """Note a write; return the access it races with, if any."""
        found = self._unordered(self.write, access.task, clock)
        for earlier in self.reads.values():
            found = found or self._unordered(earlier, access.task, clock)
        self.write = access
        self.reads.clear()
        return found

    @staticmethod
    def _unordered(earlier: Access | None, task: int, clock: Clock) -> Access | None:
        if earlier is None or earlier.task == task or earlier.time <= clock[earlier.task]:
            return None
        return earlier
