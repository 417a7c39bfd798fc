"""What each traced thread did, as far as a trace shows it: the programs that the model runs.

An action is found by the event that begins it.  How it goes on is not looked at here: that is
what the model and the trace are compared about.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace

from pfnlab.engine.errors import ModelError
from pfnlab.fidelity.actions import (
    PAGE,
    Access,
    Action,
    Clone,
    Close,
    Command,
    Exit,
    Fault,
    Fork,
    Mmap,
    MmapLock,
    Munmap,
    Thread,
)
from pfnlab.host.events import Event

FORKING = ("vma_open", "fork.copy")  # what fork() does for each mapping


def threads_of(events: Iterable[Event]) -> list[Thread]:
    """The threads of a trace, each after the one that made it; raises ModelError."""
    own: dict[int, list[Event]] = {}
    for event in events:
        own.setdefault(event.tid, []).append(event)
    mapped = [mmap for each in own.values() for mmap in _mmaps(each)]
    forked = {child for each in own.values() for child in _forked(each)}
    threads = {tid: Thread(tid) for tid in own}
    for tid, thread in threads.items():
        thread.actions = _Reader(own[tid], mapped, tid in forked).actions
        for action in thread.actions:
            if isinstance(action, Fork | Clone) and action.child in threads:
                child = threads[action.child]
                child.parent, child.begins = tid, action
    ordered = [thread for thread in threads.values() if thread.begins is None]
    if len(ordered) != 1:
        raise ModelError(f"{len(ordered)} threads of the trace were made by none that is traced")
    for thread in ordered:
        ordered += [other for other in threads.values() if other.parent == thread.tid]
    return ordered


def spoken(mark: str) -> tuple[str, str]:
    """The words of a mark: what is done, and where."""
    word, _space, where = mark.removeprefix("child ").partition(" ")
    return word, where


def tells(mark: str) -> bool:
    """Whether a mark tells of an action."""
    return spoken(mark)[0] in ("touch", "munmap", "close")


def number(value: object) -> int:
    """A number of a trace: 12, "12" or "0xc"."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ModelError(f"{value!r} in a trace is no number")
    try:
        return value if isinstance(value, int) else int(value, 0)
    except ValueError as error:
        raise ModelError(f"{value!r} in a trace is no number") from error


def argument(event: Event, name: str) -> int:
    if name not in event.args:
        raise ModelError(f"the event {event.kind} at {event.seconds} has no {name!r}")
    return number(event.args[name])


def _mmaps(events: list[Event]) -> Iterator[Mmap]:
    for event in events:
        if event.kind == "mmap":
            offset = argument(event, "offset") if "offset" in event.args else 0
            yield Mmap(argument(event, "start"), argument(event, "end"), offset)


def _forked(events: list[Event]) -> Iterator[int]:
    """The children that got copies of mappings."""
    copied = False
    for event in events:
        copied = copied or event.kind in FORKING
        if event.kind == "fork":
            if copied:
                yield argument(event, "child")
            copied = False


class _Reader:
    """Reads the events of one thread."""

    def __init__(self, events: list[Event], mapped: list[Mmap], forked: bool) -> None:
        self.events = events
        self.mapped = mapped
        self.forked = forked  # a process of its own
        self.actions: list[Action] = []
        self.inside = ""  # the action that is going on: "command", "fault" or "fork"
        self.lock = ""  # of the fault that is going on
        self.leaving = False  # it has ended, and mmap_lock is still to be released
        self.modes: list[str] = []  # of a mmap_lock that nothing here accounts for
        for place, event in enumerate(events):
            self._read(place, event)
        if self.modes:
            self.actions.append(MmapLock(tuple(self.modes)))
        # The end of a process shows only where a driver has ->close.
        if forked and Exit() not in self.actions:
            self.actions.append(Exit())

    def _read(self, place: int, event: Event) -> None:
        kind = event.kind
        if kind == "mark":
            self._mark(place, str(event.args.get("s", "")))
        elif kind == "command":
            self.actions.append(Command(bool(event.args.get("mem"))))
            self.inside = "command"
        elif kind == "command.ret":
            self.inside = ""
        elif kind == "mmap":
            self.actions += _mmaps([event])
        elif kind == "pf":
            self._fault(place, argument(event, "addr"))
        elif kind == "fault.core":
            self.lock = str(event.args.get("lock"))
        elif kind == "fault.core.ret":
            self._fault_ends(str(event.args.get("ret")))
        elif kind in FORKING and self.inside != "fork":
            self.inside = "fork"
            self.actions.append(Fork(self._child(place), locked=bool(self.modes)))
            self.modes = []
        elif kind == "fork":
            if self.inside != "fork":
                self.actions.append(Clone(argument(event, "child")))
            self.inside = ""
        elif kind == "close":
            self.actions.append(Close())
        elif kind == "vma_close":
            self._close(event)
        elif event.args.get("lock") == "mmap_lock":
            self._mmap_lock(event)

    def _mark(self, place: int, text: str) -> None:
        """What the program that was traced says of itself, where that is an action."""
        where = spoken(text)[1]
        if not tells(text):
            return
        if spoken(text)[0] == "munmap":
            mark = text
            for mmap in self.mapped:
                if not where or number(where) == mmap.start:
                    self.actions.append(Munmap(mmap.start, mmap.end, mark))
                    mark = ""
        elif spoken(text)[0] == "close":
            self.actions.append(Close(text))
        elif self.mapped and not self._faults_next(place):
            start, end = self.mapped[0].start, self.mapped[0].end
            middle = start + (end - start) // 2
            address = {"": start, "0": start, "mid": middle}.get(where)
            self.actions.append(Access(number(where) if address is None else address, text))

    def _faults_next(self, place: int) -> bool:
        return place + 1 < len(self.events) and self.events[place + 1].kind == "pf"

    def _fault(self, place: int, address: int) -> None:
        before = self.events[place - 1] if place else None
        mark = str(before.args.get("s")) if before is not None and before.kind == "mark" else ""
        last = self.actions[-1] if self.actions else None
        page = address - address % PAGE
        if isinstance(last, Fault) and last.address == page and not tells(mark):
            self.actions[-1] = replace(last, again=True)
        self.actions.append(Fault(page, mark=mark if tells(mark) else ""))
        self.inside, self.leaving = "fault", False

    def _fault_ends(self, result: str) -> None:
        """Under mmap_lock a fault goes on until that is released; a RETRY begins anew."""
        if result == "RETRY":
            return
        self.leaving = self.lock == "mmap"
        if not self.leaving:
            self.inside = ""

    def _child(self, place: int) -> int:
        for event in self.events[place:]:
            if event.kind == "fork":
                return argument(event, "child")
        return 0

    def _close(self, event: Event) -> None:
        """->close of a VMA: by munmap(), if no mark says so, or by the end of the process."""
        if any(isinstance(action, Munmap | Exit) for action in self.actions):
            return
        munmap = Munmap(argument(event, "start"), argument(event, "end"))
        self.actions.append(Exit() if self.forked else munmap)

    def _mmap_lock(self, event: Event) -> None:
        if self.inside:
            if self.leaving and event.kind == "unlock":
                self.inside, self.leaving = "", False
            return
        mode = str(event.args.get("mode"))
        if event.kind == "lock.want" and not self.modes:
            self.modes = [mode]
        elif event.kind == "lock" and self.modes and mode != self.modes[-1]:
            self.modes.append(mode)
        elif event.kind == "unlock" and self.modes:
            self.actions.append(MmapLock(tuple(self.modes)))
            self.modes = []
