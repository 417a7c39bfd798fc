"""The events of a run on a real kernel, in their order, and the file that holds them.

A trace file is a text of JSON lines.  The first may say what was run:

    {"trace": 1, "kernel": "6.12.95", "design": "huge_fault", "scenario": "one", ...}

Every other line is an event: seconds on the kernel's clock, the thread, what happened.

    {"t": 10.845195, "tid": 160, "ev": "fault.enter", "args": {"addr": "0x7f1fc0000000", ...}}

docs/conform.md lists the events.  The order of the lines is the order in which they happened.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from pfnlab.measured import check_types

FORMAT = 1


@dataclass(frozen=True)
class Event:
    """One event.  Addresses, pfns and sizes in `args` are text, as "0x7f1fc0000000"."""

    seconds: float
    tid: int
    kind: str
    args: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """What was traced.

    kernel       the release, as uname prints it
    version      of its source, which distributions may number otherwise
    design       the name of the design that its symbols show, or ""
    bar_size     bytes; bar_address is physical
    thp          /sys/kernel/mm/transparent_hugepage/enabled
    missing      what could not be traced, and why
    lost         events that the kernel dropped, as its buffer was full
    """

    kernel: str = ""
    version: str = ""
    design: str = ""
    scenario: str = ""
    device: str = ""
    bar_size: int = 0
    bar_address: int = 0
    thp: str = "always"
    missing: Mapping[str, str] = field(default_factory=dict)
    lost: int = 0


@dataclass(frozen=True)
class Trace:
    """A run and its events; `lines` has the number of each event's line in the file."""

    run: Run
    events: tuple[Event, ...]
    lines: tuple[int, ...] = ()


def to_lines(trace: Trace) -> Iterator[str]:
    """The text of a trace, line by line, without ends of lines."""
    yield json.dumps({"trace": FORMAT, **asdict(trace.run)})
    for event in trace.events:
        args = {"args": dict(event.args)} if event.args else {}
        yield json.dumps({"t": event.seconds, "tid": event.tid, "ev": event.kind, **args})


def from_lines(lines: Iterable[str]) -> Trace:
    """The opposite of to_lines(); raises ValueError for anything else, with the line."""
    run = Run()
    events: list[Event] = []
    numbers: list[int] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            data = json.loads(line)
            if number == 1 and "trace" in data:
                run = _run(data)
                continue
            event = Event(float(data["t"]), int(data["tid"]), data["ev"], data.get("args", {}))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"line {number} is no event of a trace") from error
        if not isinstance(event.kind, str) or not isinstance(event.args, Mapping):
            raise ValueError(f"line {number} is no event of a trace")
        events.append(event)
        numbers.append(number)
    if not events:
        raise ValueError("it has no event")
    return Trace(run, tuple(events), tuple(numbers))


def _run(data: dict[str, Any]) -> Run:
    if data["trace"] != FORMAT:
        raise ValueError
    known = {part.name for part in fields(Run)}
    run = Run(**{name: value for name, value in data.items() if name in known})
    check_types(run)
    return run
