"""Whether the model can do what a kernel did: its events, in their order.

The model runs the design and its own kernel; what a thread does comes from the trace
(actions.py).  Three answers: possible; impossible, with the first event that no execution of
the model allows; or neither, as the search was bounded.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import Execution
from pfnlab.fidelity.actions import Mmap, Thread
from pfnlab.fidelity.fold import FOLDED_BAR, Fold, tables_of_others
from pfnlab.fidelity.probe import Log, probes
from pfnlab.fidelity.reading import argument, number, tells, threads_of
from pfnlab.fidelity.runner import Runner
from pfnlab.fidelity.steering import MOST_STATES, Expected, Steered, Steering, Stuck, Tell
from pfnlab.fidelity.tasks import Threads
from pfnlab.fidelity.traced import ConformLab
from pfnlab.host.events import Event, Trace
from pfnlab.kernel.design import Design
from pfnlab.kernel.geometry import PAGE_SHIFT, using
from pfnlab.kernel.profile import Kernel

STEP_LIMIT = 1 << 40
PLAIN = ("lock", "mode", "order", "handler", "ret", "mem", "level", "child", "begin", "len", "s")
ADDRESSES = ("addr", "start", "end")
NAMELESS = ("lock", "mode", "level", "addr", "s")
# What the model logs, by the names of a trace: all other kinds it does not speak about.
KINDS = {
    "mmap", "mmap.ret", "pf", "sigbus", "fault.core", "fault.core.ret", "fault.enter", "fault.exit",
    "insert", "lock.want", "lock", "lock.failed", "unlock", "command", "command.ret", "zap.enter",
    "zap.exit", "zap.vma", "zap.vma.ret", "zap.range", "zap.range.ret", "fork", "fork.copy",
    "fork.copy.ret", "vma_open", "vma_close", "close",
}  # fmt: skip


@dataclass(frozen=True)
class Held:
    """A lock that a task has in the model, and the line that took it."""

    task: str
    lock: str
    mode: str
    site: str


@dataclass(frozen=True)
class Instead:
    """What the model's thread could do where the trace has an event that it cannot have.

    what   "unlock memory_lock r", "waits for vma_lock", "" if it has nothing left to do
    site   the line of the design, or of the model's kernel
    holds  the locks of all tasks
    """

    what: str
    waits: bool
    site: str
    holds: tuple[Held, ...]


@dataclass(frozen=True)
class Conformity:
    """The answer.

    possible  None if the search was bounded before there was an answer
    matched   events of the trace that the model did, by kind
    ignored   events that the model does not speak about, by kind
    failed    place of the first event that is impossible, among all of the trace
    """

    design: str
    kernel: str
    trace: Trace
    possible: bool | None
    threads: tuple[Thread, ...]
    matched: Mapping[str, int]
    ignored: Mapping[str, int]
    failed: int | None = None
    instead: tuple[Instead, ...] = ()


def conform(
    trace: Trace,
    design: Design,
    kernel: Kernel,
    most_states: int = MOST_STATES,
    tell: Tell = lambda _place: None,
) -> Conformity:
    """Follow a trace on a design.  Raises ModelError for a trace that cannot be read.

    `tell` is called now and then with how many events are matched.
    """
    threads = threads_of(trace.events)
    fold = fold_of(trace)
    expected = expectations(trace, threads, fold)
    calls = [
        (argument(event, "addr"), number(event.args.get("order", 0)))
        for event in trace.events
        if event.kind == "fault.enter"
    ]
    tasks = Threads(threads, fold, tables_of_others(fold.mmaps, calls))
    with using(fold.geometry), probes():
        execution = _execution(tasks, design, kernel, trace.run.thp, recording=False)
        try:
            steered = Steering(Runner(execution), expected, most_states, tell).run()
        finally:
            execution.end()
        done = [expected[place].place for place in range(steered.matched)]
        failed = None
        instead: tuple[Instead, ...] = ()
        if steered.stuck:
            failed = expected[steered.matched].place
            instead = _told(tasks, design, kernel, trace, expected, steered)
    possible = None if not steered.complete else failed is None
    spoken = {each.place for each in expected}
    events = trace.events
    return Conformity(
        design=design.name,
        kernel=kernel.name,
        trace=trace,
        possible=possible,
        threads=tuple(threads),
        matched=Counter(events[place].kind for place in done),
        ignored=Counter(e.kind for place, e in enumerate(events) if place not in spoken),
        failed=failed,
        instead=instead,
    )


# ---- the trace in the terms of the model


def fold_of(trace: Trace) -> Fold:
    """The geometry for a trace: all addresses that it names, in small."""
    events = trace.events
    mmaps = [
        Mmap(argument(e, "start"), argument(e, "end"), number(e.args.get("offset", 0)))
        for e in events
        if e.kind == "mmap"
    ]
    if not mmaps:
        raise ModelError("the trace maps nothing: it has no event mmap")
    if any(not mmap.start < mmap.end for mmap in mmaps):
        raise ModelError("the trace has a mapping of no size")
    addresses = {argument(e, "addr") for e in events if "addr" in e.args}
    for event in events:
        if event.kind == "mark":  # "touch 0x..."
            last = str(event.args.get("s", "")).rpartition(" ")[2]
            addresses |= {number(last)} if last.startswith("0x") else set()
    for mmap in mmaps:
        addresses.add(mmap.start + (mmap.end - mmap.start) // 2)
    return Fold(mmaps, addresses, trace.run.bar_address >> PAGE_SHIFT or _bar_pfn(events, mmaps))


def _bar_pfn(events: tuple[Event, ...], mmaps: list[Mmap]) -> int:
    """Where the BAR is, in a trace that does not say so: most inserts agree about that."""
    votes: Counter[int] = Counter()
    for event in events:
        if event.kind != "insert":
            continue
        size = {"pmd": 1 << 21, "pud": 1 << 30}.get(str(event.args.get("level")), 1 << PAGE_SHIFT)
        address = argument(event, "addr")
        for mmap in mmaps:
            if mmap.start <= address < mmap.end:
                begins = address - address % size - mmap.start + mmap.offset
                votes[argument(event, "pfn") - (begins >> PAGE_SHIFT)] += 1
    best = votes.most_common(1)
    return best[0][0] if best else FOLDED_BAR >> PAGE_SHIFT


def expectations(trace: Trace, threads: list[Thread], fold: Fold) -> list[Expected]:
    tasks = {thread.tid: index for index, thread in enumerate(threads)}
    return [
        Expected(place, tasks[event.tid], event.kind, _arguments(event, fold))
        for place, event in enumerate(trace.events)
        if event.kind in KINDS or (event.kind == "mark" and tells(str(event.args.get("s"))))
    ]


def _arguments(event: Event, fold: Fold) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in event.args.items():
        if name in ADDRESSES:
            found[name] = fold.address(number(value))
        elif name == "pfn":
            found[name] = fold.pfn(number(value), argument(event, "addr"))
        elif name == "size" and event.args.get("level", "range") == "range":
            first = argument(event, "addr")
            start, end = fold.address(first), fold.address(first + number(value))
            found[name] = None if start is None or end is None else end - start
        elif name in ("begin", "len") or (name == "ret" and event.kind == "insert"):
            found[name] = number(value)
        elif name in PLAIN:
            found[name] = value
    return found


# ---- how a trace and the model part


def _execution(
    tasks: Threads, design: Design, kernel: Kernel, thp: str, recording: bool
) -> Execution:
    lab = ConformLab(design, kernel, thp)
    return Execution(lab, tasks.build, recording=recording, step_limit=STEP_LIMIT)


def _told(
    tasks: Threads,
    design: Design,
    kernel: Kernel,
    trace: Trace,
    expected: list[Expected],
    steered: Steered,
) -> tuple[Instead, ...]:
    """Each way is followed once more, with source lines."""
    execution = _execution(tasks, design, kernel, trace.run.thp, recording=True)
    event = expected[steered.matched]
    try:
        return tuple(_instead(execution, tasks.fold, stuck, event.task) for stuck in steered.stuck)
    finally:
        execution.end()


def _instead(execution: Execution, fold: Fold, stuck: Stuck, index: int) -> Instead:
    execution.restart()
    for index_, option in stuck.steps:
        execution.fire(execution.program.tasks[index_], option)
    task = execution.program.tasks[index]
    op = execution.pending[index]
    assert execution.recorder is not None
    waits = stuck.log is None and op is not None
    what, site = "", execution.recorder.site(task) if op is not None else ""
    if stuck.log is not None:
        what = log_text(stuck.log, fold)
        assert isinstance(execution.program, ConformLab)
        site = execution.program.sites.get((task.name, stuck.log), site)
    elif op is not None:
        what = f"{op.verb} {op.target.name}"
    return Instead(
        what=what,
        waits=waits,
        site=site,
        holds=tuple(
            Held(each.name, _real_name(hold.lock.name, fold), hold.mode, hold.site)
            for each in execution.program.tasks
            for hold in each.held
        ),
    )


def _real_name(name: str, fold: Fold) -> str:
    """A name of the model with the addresses of the trace."""
    return re.sub(r"\b7f[0-9a-f]{10}\b", lambda found: f"{fold.real(int(found[0], 16)):x}", name)


def log_text(log: Log, fold: Fold) -> str:
    """A log of the model as the event that a trace would have."""
    args = dict(log.args)
    real: dict[str, object] = {}
    for name, value in args.items():
        if name in ADDRESSES:
            real[name] = hex(fold.real(value))
        elif name == "pfn":
            real[name] = hex(fold.real_pfn(value, args["addr"]))
        elif name == "size":
            real[name] = hex(fold.real(args["addr"] + value) - fold.real(args["addr"]))
        elif name in ("begin", "len") or (name == "ret" and log.kind == "insert"):
            real[name] = hex(value) if value else "0"
        else:
            real[name] = value
    return f"{log.kind} {arguments_text(real)}".rstrip()


def arguments_text(args: Mapping[str, object]) -> str:
    """ "pud 0x7f1fc0000000 pfn=0x100000": what has no name can only be one thing."""
    words = []
    for name, value in args.items():
        text = str(value).lower() if isinstance(value, bool) else str(value)
        words.append(text if name in NAMELESS else f"{name}={text}")
    return " ".join(words)


__all__ = ["Conformity", "Held", "Instead", "arguments_text", "conform", "fold_of"]
