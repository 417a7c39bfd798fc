"""Reading mapped memory, where a page may end in SIGBUS or SIGSEGV.

On x86-64 a loop in machine code reads, and a handler in machine code counts what ends in a
signal.  It is installed while somebody sweeps, and never for longer.  On other CPUs a forked
child tries each address before this process reads it.
"""

import _thread
import ctypes
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from pfnlab.host import memory
from pfnlab.host.counters import Faults
from pfnlab.host.errors import HostError
from pfnlab.host.guarded_read import OLD_ACTION, Layout
from pfnlab.host.machine_code import make_executable
from pfnlab.host.touches import Run
from pfnlab.workload import PAGE

SIGNALS = SIGBUS, SIGSEGV = 7, 11  # in the order of old_actions
AT_ONCE = 1 << 20  # accesses, between which Python sees Ctrl-C
SA_SIGINFO, SA_NODEFER, SA_ONSTACK = 4, 0x40000000, 0x08000000


@dataclass(frozen=True)
class Signals:
    """How many accesses ended in which signal."""

    bus: int = 0
    segv: int = 0

    def __add__(self, other: "Signals") -> "Signals":
        return Signals(self.bus + other.bus, self.segv + other.segv)


class SigAction(ctypes.Structure):
    """struct sigaction of the C library."""

    _fields_ = (
        ("handler", ctypes.c_void_p),
        ("mask", ctypes.c_ubyte * 128),
        ("flags", ctypes.c_int),
        ("restorer", ctypes.c_void_p),
    )


class _MachineCode:
    """The code, once for the process; handlers are installed while `users` are there."""

    def __init__(self) -> None:
        code, data = (memory.mmap(0, PAGE) for _page in range(2))
        self.layout = Layout(code, data)
        make_executable(code, self.layout.bytes_of_code())
        # ctypes lets other threads run meanwhile.
        self.sweep = ctypes.CFUNCTYPE(
            ctypes.c_uint64, ctypes.c_uint64, ctypes.c_uint64, ctypes.c_int64, ctypes.c_uint64
        )(self.layout.sweep)
        self.sigaction: Callable[..., int] = ctypes.CDLL(None, use_errno=True).sigaction
        self.lock = _thread.allocate_lock()
        self.users = 0
        self.old: dict[int, SigAction] = {}

    @contextmanager
    def guarded(self) -> Iterator[None]:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.install()
        try:
            yield
        finally:
            with self.lock:
                self.users -= 1
                if self.users == 0:
                    self.restore()

    def install(self) -> None:
        for place, number in enumerate(SIGNALS):
            old = self.action_of(number)
            self.old[number] = old
            entry = OLD_ACTION.pack(old.handler or 0, 0, 0, 0)
            ctypes.memmove(self.layout.old_actions + place * OLD_ACTION.size, entry, len(entry))
            flags = SA_SIGINFO | SA_NODEFER | SA_ONSTACK
            ours = SigAction(self.layout.handler, old.mask, flags, None)
            self.set_action(number, ours)

    def restore(self) -> None:
        """Unless somebody has installed another one meanwhile."""
        for number, old in self.old.items():
            if self.action_of(number).handler == self.layout.handler:
                self.set_action(number, old)

    def action_of(self, number: int) -> SigAction:
        action = SigAction()
        if self.sigaction(number, None, ctypes.byref(action)):
            raise HostError("sigaction failed")
        return action

    def set_action(self, number: int, action: SigAction) -> None:
        if self.sigaction(number, ctypes.byref(action), None):
            raise HostError("sigaction failed")


_code: _MachineCode | None = None
# Not of threading, to import which takes an emulated guest 10 ms.
_code_lock = _thread.allocate_lock()


def machine_code() -> _MachineCode | None:
    """None where only a forked child can try."""
    global _code
    if os.uname().machine != "x86_64":
        return None
    with _code_lock:
        if _code is None:
            _code = _MachineCode()
    return _code


@contextmanager
def signals_counted() -> Iterator[None]:
    """Sweeps inside need not install the handler, each for itself."""
    code = machine_code()
    if code is None:
        yield
    else:
        with code.guarded():
            yield


def sweep(runs: Iterable[Run], faults: Faults | None = None) -> Signals:
    """Read 4 bytes at each address.  A page that ends in a signal is counted and passed by.

    What that faulted is added to faults.swept.
    """
    code, faults = machine_code(), faults or Faults()
    if code is None:
        before = faults.now()
        signals = sweep_with_child(runs)
        faults.swept += faults.now() - before
        return signals
    bus = segv = 0
    with code.guarded():
        for run in runs:
            for first in range(0, run.count, AT_ONCE):
                address = run.address + first * run.stride
                count = min(AT_ONCE, run.count - first)
                counted = code.sweep(address, count, run.stride, faults.address)
                faults.swept += faults.between()
                bus += counted & 0xFFFFFFFF
                segv += counted >> 32
    return Signals(bus, segv)


def probe(address: int) -> Signals:
    """Read 4 bytes; Signals() if that is possible."""
    return sweep([Run(address, 1, 0)])


def sweep_with_child(runs: Iterable[Run]) -> Signals:
    """Children read first and die of it; what they survive is then read here."""
    total = Signals()
    for run in runs:
        done = 0
        while done < run.count:
            alive, number = try_in_child(run, done)
            for index in range(done, done + alive):
                read(run.address + index * run.stride)
            done += alive
            if number:
                is_bus = number == SIGBUS
                total += Signals(int(is_bus), int(not is_bus))
                done += 1
    return total


def try_in_child(run: Run, first: int) -> tuple[int, int]:
    """How many accesses of a run, from the first on, a child survived, and what killed it."""
    import signal  # late: its enumerations take an emulated guest 40 ms

    progress = memory.mmap(0, PAGE, flags=memory.MAP_SHARED | memory.MAP_ANONYMOUS)
    counter = ctypes.c_uint64.from_address(progress)
    child = os.fork()
    if child == 0:
        for number in SIGNALS:
            signal.signal(number, signal.SIG_DFL)
        for index in range(first, run.count):
            read(run.address + index * run.stride)
            counter.value += 1
        os._exit(0)
    _pid, status = os.waitpid(child, 0)
    alive = counter.value
    memory.munmap(progress, PAGE)
    if not os.WIFSIGNALED(status):
        return alive, 0
    return alive, os.WTERMSIG(status)


def read(address: int) -> int:
    return ctypes.c_uint32.from_address(address).value
