"""How often vfio-pci's fault handler was called, by order and by result, through tracefs.

A return probe on the handler, and a histogram of it: the kernel counts, nothing is recorded,
so nothing is lost however many calls there are.
"""

import os
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from pfnlab.host.errors import HostError
from pfnlab.host.pci import ROOT, read_file
from pfnlab.host.tracefs import find_tracefs, write

VM_FAULT_FALLBACK = 0x800
ORDERS = {0: "pte", 9: "pmd", 18: "pud"}
# The handler, and whether it is told an order.  The second one of a pair calls the first,
# or has it inlined; so the larger number of the two is the number of its calls.
HUGE, PAGE, FAULT = "vfio_pci_mmap_huge_fault", "vfio_pci_mmap_page_fault", "vfio_pci_mmap_fault"
HANDLERS = {HUGE: True, PAGE: False, FAULT: False}


@dataclass(frozen=True)
class Call:
    """Key of the histogram.  pid: of the thread."""

    pid: int
    order: int
    result: int


def probe_text(group: str, function: str) -> str:
    """A line for kprobe_events; arguments at the return need Linux 6.9 or later."""
    order = "order=$arg2:u32 " if HANDLERS[function] else ""
    return f"r:{group}/{function} {function} {order}ret=$retval:u32\n"


def trigger_text(function: str) -> str:
    return f"hist:keys=common_pid,{'order,' if HANDLERS[function] else ''}ret"


def parse_hist(text: str) -> Counter[Call]:
    """A hist file.  Raises HostError if it was too small for what happened."""
    found: Counter[Call] = Counter()
    for line in text.splitlines():
        if line.startswith("{"):
            keys, _, rest = line[1:].partition("}")
            values = {}
            for pair in keys.split(","):
                name, _, value = pair.partition(":")
                values[name.strip()] = int(value, 0)
            call = Call(values["common_pid"], values.get("order", 0), values["ret"])
            found[call] += int(rest.split()[1])
        elif "Dropped:" in line and int(line.split()[1]):
            raise HostError("the histogram was too small")
    return found


def count_calls(calls: dict[str, Counter[Call]], pids: Collection[int]) -> dict[str, int]:
    """ "calls pte", ... and "fallbacks pte", ... of some threads, by function and Call."""
    by_function = {}
    for function, counter in calls.items():
        found: Counter[str] = Counter()
        for call, count in counter.items():
            if call.pid in pids:
                level = ORDERS.get(call.order, f"order {call.order}")
                found[f"calls {level}"] += count
                if call.result & VM_FAULT_FALLBACK:
                    found[f"fallbacks {level}"] += count
        by_function[function] = found
    total: Counter[str] = Counter()
    for found in by_function.values():
        total |= found  # the larger of each
    return dict(total)


class HandlerCalls:
    """Probes that are there while counting() is entered."""

    def __init__(self, tracefs: Path, group: str, functions: tuple[str, ...]) -> None:
        self.tracefs = tracefs
        self.group = group
        self.functions = functions

    def read(self) -> dict[str, Counter[Call]]:
        """All calls since the beginning, by function."""
        return {
            function: parse_hist(read_file(self.event(function) / "hist"))
            for function in self.functions
        }

    def event(self, function: str) -> Path:
        return self.tracefs / "events" / self.group / function


@contextmanager
def counting(root: Path = ROOT) -> Iterator[HandlerCalls]:
    """Raises HostError where the kernel cannot count, with the reason."""
    tracefs = find_tracefs(root)
    group = f"pfnlab_{os.getpid()}"
    events = tracefs / "kprobe_events"
    probed: list[str] = []
    with ExitStack() as undo:
        for function in HANDLERS:
            if try_append(events, probe_text(group, function)):
                undo.callback(append, events, f"-:{group}/{function}\n")
                probed.append(function)
        if HUGE not in probed and FAULT not in probed:
            raise HostError("vfio-pci has no fault handler that can be probed")
        for function in probed:
            trigger = tracefs / "events" / group / function / "trigger"
            append(trigger, trigger_text(function))
            undo.callback(append, trigger, "!" + trigger_text(function))
        yield HandlerCalls(tracefs, group, tuple(probed))


def try_append(path: Path, text: str) -> bool:
    try:
        append(path, text)
    except HostError:
        return False
    return True


def append(path: Path, text: str) -> None:
    """Raises HostError where the kernel refuses it."""
    try:
        write(path, text, more=True)
    except OSError as error:
        raise HostError(f"cannot write {text.strip()!r} to {path}: {error.strerror}") from error
