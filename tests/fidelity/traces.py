"""Traces of real kernels, and changes to them."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from pfnlab.catalogue import find_design
from pfnlab.cli.conform import load_trace
from pfnlab.fidelity.conform import Conformity, conform
from pfnlab.host.events import Event, Trace
from pfnlab.kernel.profile import find_kernel

TRACES = Path(__file__).parent.parent / "data" / "traces"
# The design and the kernel that each was recorded on.
RECORDED = {
    "6.1.192-one.events": ("remap_on_fault", "v6.1.192"),
    "6.1.192-one.model": ("remap_on_fault", "v6.1.192"),
    "6.1.192-race.model": ("remap_on_fault", "v6.1"),
    "6.12.95-one.events": ("huge_fault", "v6.12"),
    "6.12.95-one.model": ("huge_fault", "v6.12"),
    "6.12.95-race.model": ("huge_fault", "v6.12"),
    "7.3.4-one.model": ("huge_fault", "v7.3"),
}


@cache
def trace(name: str) -> Trace:
    path = TRACES / f"{name}.jsonl"
    return load_trace(path if path.exists() else path.with_suffix(".jsonl.gz"))


def follow(changed: Trace, design: str, kernel: str) -> Conformity:
    return conform(changed, find_design(design), find_kernel(kernel))


class Changed:
    """A trace that is changed by hand; events are found by kind, number and arguments."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.run = trace(name).run
        self.events = list(trace(name).events)

    def find(self, kind: str, number: int = 0, after: int = 0, **args: object) -> int:
        places = [
            place
            for place, event in enumerate(self.events)
            if place >= after
            and event.kind == kind
            and all(event.args.get(name) == value for name, value in args.items())
        ]
        return places[number]

    def set(self, place: int, **args: object) -> None:
        event = self.events[place]
        self.events[place] = replace(event, args={**event.args, **args})

    def drop(self, first: int, count: int = 1) -> None:
        del self.events[first : first + count]

    def insert(self, place: int, kind: str, **args: object) -> None:
        """By the thread of the event that is there, before it."""
        at = self.events[place]
        self.events.insert(place, Event(at.seconds, at.tid, kind, args))

    def swap(self, one: int, other: int) -> None:
        events = self.events
        events[one], events[other] = events[other], events[one]

    def move(self, place: int, to: int) -> None:
        self.events.insert(to, self.events.pop(place))

    def follow(self) -> Conformity:
        return follow(Trace(self.run, tuple(self.events)), *RECORDED[self.name])


Change = Callable[[Changed], int]  # returns the place of the event that is impossible then
