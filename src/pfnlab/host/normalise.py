"""What a trace says about mappings of one device: the events of the kernel's probes, reduced.

The tracer logs all faults, forks and mmap_locks of the traced threads.  Here those are kept
that are about a VMA of the device, or that happen inside of its driver.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from pfnlab.host.events import Event

FAULT_FLAG_VMA_LOCK = 0x1000
RETRY = 0x400
RESULTS = {0: "OK", 1: "OOM", 2: "SIGBUS", 0x100: "NOPAGE", RETRY: "RETRY", 0x800: "FALLBACK"}
PCI_COMMAND, PCI_COMMAND_MEMORY = 4, 2
PFN = (1 << 52) - 1  # a pfn_t has flags above it
LEVELS = {
    "remap_pfn_range": "range", "insert_pte": "pte", "insert_pmd": "pmd", "insert_pud": "pud",
}  # fmt: skip
SIZES = {"pte": 1 << 12, "pmd": 1 << 21, "pud": 1 << 30}
LOCKING = (
    "mutex_lock", "mutex_trylock", "down_read", "down_read_trylock", "down_write",
    "down_write_trylock",
)  # fmt: skip
UNLOCKING = ("mutex_unlock", "up_read", "up_write")
MARK = "tracing_mark_write"


def is_raw(events: Iterable[Event]) -> bool:
    """Whether events are as the probes logged them."""
    return any(event.kind in (MARK, "handle_mm_fault", "sched_process_fork") for event in events)


@dataclass
class _Thread:
    """Where a thread is.

    inside   handlers and functions of the driver that it has entered
    fault    the address of a fault on the device, None outside of one
    lock     of that fault: "vma" or "mmap"
    done     the fault has its result; mmap_lock may still be held
    copying  fork() copies a VMA of the device
    writing  COMMAND is being written
    insert   the level of a leaf that is being inserted, and the arguments
    wanted   the lock, by the function that was called to get it
    """

    inside: list[str] = field(default_factory=list)
    fault: int | None = None
    lock: str = ""
    done: bool = False
    copying: bool = False
    writing: bool = False
    insert: tuple[str, dict[str, Any]] | None = None
    wanted: dict[str, str] = field(default_factory=dict)


class _Reducer:
    def __init__(self, raw: list[Event]) -> None:
        self.raw = raw
        self.events: list[Event] = []
        self.threads: dict[int, _Thread] = {}
        self.vmas: dict[str, tuple[int, int]] = {}
        self.forking = _locks_of_forks(raw)
        for place, event in enumerate(raw):
            thread = self.threads.setdefault(event.tid, _Thread())
            handle = HANDLERS.get(event.kind)
            if handle is not None:
                handle(self, event, thread)
            elif event.kind in LEVELS:
                if thread.inside:
                    thread.insert = (LEVELS[event.kind], dict(event.args))
            elif event.kind.removesuffix("_ret") in LEVELS:
                self.inserted(event, thread)
            elif event.kind.startswith("mmap_lock_"):
                if thread.inside or thread.fault is not None or place in self.forking:
                    self.mmap_lock(event)
            elif event.kind.removesuffix("_ret") in LOCKING:
                self.lock(event, thread)
            elif event.kind in UNLOCKING:
                self.emit(event, "unlock", lock=event.args["lock"], mode=_mode(event.kind))
            if thread.done and event.kind in ("mmap_lock_released", "signal_generate", MARK):
                thread.fault, thread.done = None, False

    def emit(self, event: Event, kind: str, **args: Any) -> None:
        self.events.append(Event(event.seconds, event.tid, kind, args))

    def mark(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "mark", s=event.args["mark"])

    def close(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "close")

    def fork(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "fork", child=int(event.args["child_pid"]))

    def mmap(self, event: Event, thread: _Thread) -> None:
        args = event.args
        self.vmas[args["vma"]] = (int(args["start"], 16), int(args["end"], 16))
        offset = {}
        if "pgoff" in args:  # the region is in the upper bits
            offset = {"offset": hex((int(args["pgoff"], 16) << 12) & ((1 << 40) - 1))}
        self.emit(event, "mmap", start=args["start"], end=args["end"], **offset)

    def mmap_ret(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "mmap.ret", ret=int(event.args["ret"]))

    def vma(self, event: Event, thread: _Thread) -> None:
        args = event.args
        self.emit(event, event.kind, start=args["start"], end=args["end"])
        if event.kind == "vma_open":
            self.vmas[args["vma"]] = (int(args["start"], 16), int(args["end"], 16))

    def user_fault(self, event: Event, thread: _Thread) -> None:
        address = int(event.args["address"], 16)
        thread.done = False
        thread.fault = None
        if any(start <= address < end for start, end in self.vmas.values()):
            thread.fault = address
            write = bool(int(event.args["error_code"], 16) & 2)
            self.emit(event, "pf", addr=event.args["address"], write=write)

    def core(self, event: Event, thread: _Thread) -> None:
        if thread.fault is not None:
            of_vma = int(event.args["flags"], 16) & FAULT_FLAG_VMA_LOCK
            thread.lock = "vma" if of_vma else "mmap"
            self.emit(event, "fault.core", lock=thread.lock)

    def core_ret(self, event: Event, thread: _Thread) -> None:
        if thread.fault is not None:
            result = int(event.args["ret"], 16)
            self.emit(event, "fault.core.ret", ret=RESULTS.get(result, hex(result)))
            thread.done = result != RETRY
            if thread.done and thread.lock == "vma":
                # No mmap_lock belongs to it any more.
                thread.fault, thread.done = None, False

    def handler(self, event: Event, thread: _Thread) -> None:
        thread.inside.append(event.kind)
        order = int(event.args.get("order", 0))
        self.emit(event, "fault.enter", addr=event.args["addr"], order=order, handler=event.kind)

    def handler_ret(self, event: Event, thread: _Thread) -> None:
        result = int(event.args["ret"], 16)
        self.emit(event, "fault.exit", ret=RESULTS.get(result, hex(result)))
        _leave(thread)

    def inserted(self, event: Event, thread: _Thread) -> None:
        if thread.insert is not None:
            level, args = thread.insert
            thread.insert = None
            size = args.get("size", hex(SIZES.get(level, 0)))
            pfn = hex(int(args["pfn"], 16) & PFN)
            self.emit(
                event, "insert", level=level, addr=args["addr"], pfn=pfn, size=size,
                ret=event.args["ret"],
            )  # fmt: skip

    def copy(self, event: Event, thread: _Thread) -> None:
        args = event.args
        if args["src"] in self.vmas:
            thread.copying = True
            self.vmas[args["dst"]] = self.vmas[args["src"]]
            self.emit(event, "fork.copy", start=args["start"])

    def copy_ret(self, event: Event, thread: _Thread) -> None:
        if thread.copying:
            thread.copying = False
            self.emit(event, "fork.copy.ret", ret=int(event.args["ret"]))

    def zap(self, event: Event, thread: _Thread) -> None:
        thread.inside.append(event.kind)
        if event.kind == "zap":
            self.emit(event, "zap.enter")

    def zap_ret(self, event: Event, thread: _Thread) -> None:
        _leave(thread)
        if event.kind == "zap_ret":
            self.emit(event, "zap.exit")

    def zap_vma(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "zap.vma", addr=event.args["addr"], size=event.args["size"])

    def zap_vma_ret(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "zap.vma.ret")

    def zap_range(self, event: Event, thread: _Thread) -> None:
        if thread.inside:
            self.emit(
                event, "zap.range", begin=event.args["holebegin"], len=event.args["holelen"]
            )  # fmt: skip

    def zap_range_ret(self, event: Event, thread: _Thread) -> None:
        if thread.inside:
            self.emit(event, "zap.range.ret")

    def write(self, event: Event, thread: _Thread) -> None:
        if int(event.args["off"]) == PCI_COMMAND:
            thread.writing = True
            thread.inside.append(event.kind)
            self.emit(event, "command", mem=bool(int(event.args["val"], 16) & PCI_COMMAND_MEMORY))

    def write_ret(self, event: Event, thread: _Thread) -> None:
        if thread.writing:
            thread.writing = False
            _leave(thread)
            self.emit(event, "command.ret")

    def sigbus(self, event: Event, thread: _Thread) -> None:
        self.emit(event, "sigbus")

    def contention(self, event: Event, thread: _Thread) -> None:
        if thread.inside or thread.fault is not None:
            self.emit(event, event.kind)

    def lock(self, event: Event, thread: _Thread) -> None:
        function = event.kind.removesuffix("_ret")
        if event.kind == function:
            thread.wanted[function] = event.args["lock"]
            self.emit(event, "lock.want", lock=event.args["lock"], mode=_mode(function))
        elif function in thread.wanted:
            got = str(event.args.get("ret", "1")) != "0"
            lock = thread.wanted.pop(function)
            self.emit(event, "lock" if got else "lock.failed", lock=lock, mode=_mode(function))

    def mmap_lock(self, event: Event) -> None:
        mode = "w" if event.args["write"] == "true" else "r"
        kind = {"mmap_lock_start_locking": "lock.want", "mmap_lock_released": "unlock"}.get(
            event.kind, "lock" if event.args.get("success") == "true" else "lock.failed"
        )
        self.emit(event, kind, lock="mmap_lock", mode=mode)


def _leave(thread: _Thread) -> None:
    if thread.inside:
        thread.inside.pop()


def _mode(function: str) -> str:
    return "r" if "read" in function else "w"


def _locks_of_forks(raw: list[Event]) -> set[int]:
    """The places of the mmap_locks that fork() takes: those held while it copies a VMA of ours."""
    found: set[int] = set()
    ours = {event.args["vma"] for event in raw if event.kind == "mmap"}
    ours |= {event.args["vma"] for event in raw if event.kind == "vma_open"}
    since: dict[int, list[int]] = {}  # by thread, the events since it held none
    held: dict[int, int] = {}
    wanting: set[int] = set()  # who gets it without is downgrading
    forks: set[int] = set()
    for place, event in enumerate(raw):
        tid = event.tid
        if event.kind.startswith("mmap_lock_"):
            since.setdefault(tid, []).append(place)
            if event.kind == "mmap_lock_start_locking":
                wanting.add(tid)
            elif event.kind == "mmap_lock_acquire_returned":
                held[tid] = held.get(tid, 0) + (tid in wanting and event.args["success"] == "true")
                wanting.discard(tid)
            elif event.kind == "mmap_lock_released":
                held[tid] = held.get(tid, 0) - 1
                if held[tid] <= 0:
                    held[tid] = 0
                    if tid in forks:
                        found |= set(since[tid])
                    forks.discard(tid)
                    since[tid] = []
        elif event.kind == "vma_open" or (
            event.kind == "copy_range" and event.args["src"] in ours
        ):  # fmt: skip
            forks.add(tid)
    return found


HANDLERS: dict[str, Callable[[_Reducer, Event, _Thread], None]] = {
    MARK: _Reducer.mark, "close_device": _Reducer.close, "sched_process_fork": _Reducer.fork,
    "mmap": _Reducer.mmap, "mmap_ret": _Reducer.mmap_ret, "vma_open": _Reducer.vma,
    "vma_close": _Reducer.vma,
    "page_fault_user": _Reducer.user_fault, "handle_mm_fault": _Reducer.core,
    "handle_mm_fault_ret": _Reducer.core_ret, "fault": _Reducer.handler,
    "huge_fault": _Reducer.handler, "fault_ret": _Reducer.handler_ret,
    "huge_fault_ret": _Reducer.handler_ret, "copy_range": _Reducer.copy,
    "copy_range_ret": _Reducer.copy_ret, "zap": _Reducer.zap, "zap_vma_lock": _Reducer.zap,
    "zap_ret": _Reducer.zap_ret, "zap_vma_lock_ret": _Reducer.zap_ret,
    "zap_vma_ptes": _Reducer.zap_vma, "zap_vma_ptes_ret": _Reducer.zap_vma_ret,
    "unmap_mapping_range": _Reducer.zap_range, "unmap_mapping_range_ret": _Reducer.zap_range_ret,
    "cfg_write": _Reducer.write, "cfg_write_ret": _Reducer.write_ret,
    "signal_generate": _Reducer.sigbus, "contention_begin": _Reducer.contention,
    "contention_end": _Reducer.contention,
}  # fmt: skip


def model_events(raw: Iterable[Event]) -> tuple[Event, ...]:
    """The events about the device, in their order; raises KeyError or ValueError for others."""
    return tuple(_Reducer(list(raw)).events)
