"""What the kernel has logged, as tracefs has it in text.

The format is in Documentation/trace/kprobetrace.rst and ftrace.rst of the kernel.
"""

import re
from collections.abc import Iterator

from pfnlab.host.events import Event

LINE = re.compile(r"^\s*.+-(\d+)\s+\[\d+\]\s+\S+\s+([\d.]+): (\w+): ?(.*)$")
KPROBE_PLACE = re.compile(r"^\([^)]*\)\s*")  # of a kprobe: where it is
ARGUMENT = re.compile(r"(\w+)[=:]\s?([^\s,)]+)")
MARK = "tracing_mark_write"


def parse(text: str) -> Iterator[Event]:
    """The events of a trace as text."""
    for line in text.split("\n"):
        found = LINE.match(line)
        if found is None:
            continue
        tid, seconds, kind, rest = found.groups()
        if kind == MARK:
            args = {"mark": rest}
        else:
            args = dict(ARGUMENT.findall(KPROBE_PLACE.sub("", rest)))
        yield Event(float(seconds), int(tid), kind, args)


def lost(text: str) -> int:
    """How many events were dropped, as the buffer was full."""
    found = re.search(r"entries-in-buffer/entries-written: (\d+)/(\d+)", text)
    return int(found[2]) - int(found[1]) if found else 0
