"""A trace instance of our own, and kprobes: what the kernel logs, in the order it happened.

The files are in Documentation/trace/kprobetrace.rst and ftrace.rst of the kernel.
"""

import os
from contextlib import ExitStack
from pathlib import Path

from pfnlab.host.errors import HostError
from pfnlab.host.pci import ROOT

PLACES = (Path("sys/kernel/tracing"), Path("sys/kernel/debug/tracing"))
NO_TRACEFS = "tracefs is not mounted, has no kprobes, or needs root"


def find_tracefs(root: Path = ROOT) -> Path:
    """Where it is mounted and can be used; raises HostError."""
    for place in PLACES:
        if os.access(root / place / "kprobe_events", os.W_OK):
            return root / place
    raise HostError(NO_TRACEFS)


def write(path: Path, text: str, *, more: bool = False) -> None:
    """Replace what a file has, or add to it; raises OSError.

    Not open(path, "a"), which seeks: tracefs refuses that with EINVAL.
    """
    descriptor = os.open(path, os.O_WRONLY | (os.O_APPEND if more else os.O_TRUNC))
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


class Instance:
    """A context manager: an instance with its kprobes, which are gone behind it.

    probes   names of the kprobes
    """

    def __init__(self, kilobytes: int) -> None:
        """`kilobytes` is the size of the buffer of each CPU."""
        self.tracefs = find_tracefs()
        self.group = f"pfnlab_{os.getpid()}"
        self.folder = self.tracefs / "instances" / self.group
        self.kilobytes = kilobytes
        self.probes: list[str] = []

    def __enter__(self) -> "Instance":
        self.folder.mkdir()
        try:
            self.put("tracing_on", "0")
            self.put("buffer_size_kb", str(self.kilobytes))
            self.put("trace_clock", "mono")
            self.put("options/event-fork", "1")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        """What can be taken back is, whatever else cannot."""
        with ExitStack() as undo:
            for name in reversed(self.probes):
                undo.callback(self.remove_probe, name)
            undo.callback(self.folder.rmdir)
            undo.callback(self.put, "events/enable", "0")
            undo.callback(self.put, "tracing_on", "0")

    def put(self, file: str, text: str) -> None:
        write(self.folder / file, text)

    def add_probe(self, name: str, function: str, arguments: str, at_return: bool) -> None:
        """Raises OSError, also where the kernel has no such function."""
        kind = "r" if at_return else "p"
        text = f"{kind}:{self.group}/{name} {function} {arguments}\n"
        write(self.tracefs / "kprobe_events", text, more=True)
        self.probes.append(name)

    def remove_probe(self, name: str) -> None:
        write(self.tracefs / "kprobe_events", f"-:{self.group}/{name}\n", more=True)

    def enable(self, event: str, only_if: str = "") -> None:
        """Log an event: the name of a probe, or SUBSYSTEM/NAME.  Raises OSError."""
        path = f"events/{event if '/' in event else f'{self.group}/{event}'}"
        if only_if:
            self.put(f"{path}/filter", only_if)
        self.put(f"{path}/enable", "1")

    def mark(self, text: str) -> None:
        self.put("trace_marker", text)

    def text(self) -> str:
        return (self.folder / "trace").read_text(encoding="utf-8", errors="replace")
