"""The threads of a trace as tasks of the model.

Each does what its thread did, by the functions of the model's kernel, and logs what a tracer
would.  What a thread could not have done shows as a log that the trace does not have.
"""

from collections.abc import Callable
from typing import Any

from pfnlab.engine.access import atomically
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import start
from pfnlab.engine.word import words
from pfnlab.fidelity.actions import (
    Access,
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
from pfnlab.fidelity.fold import FOLDED_BAR, Fold
from pfnlab.fidelity.probe import LISTEN, LOOK, log
from pfnlab.fidelity.traced import ConformLab
from pfnlab.kernel.cpu import reach
from pfnlab.kernel.fault_codes import VM_FAULT_SIGBUS
from pfnlab.kernel.geometry import PUD_ORDER
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.munmap import munmap
from pfnlab.kernel.pagetable import TABLE, path_of, walk
from pfnlab.kernel.user_fault import exc_page_fault
from pfnlab.kernel.vma import Mm


class Children(Shared):
    """The mm of each child, which its parent leaves here."""

    mms = words()

    def __init__(self) -> None:
        self.name = "children"


class Threads:
    """Fills a lab with the threads of a trace."""

    def __init__(
        self, threads: list[Thread], fold: Fold, tables: list[tuple[int, int]] | None = None
    ) -> None:
        self.threads = threads
        self.fold = fold
        self.tables = tables or []  # see tables_of_others()

    def build(self, lab: Any) -> None:
        assert isinstance(lab, ConformLab)
        self.lab = lab
        self.vdev = lab.vfio_device(self.fold.size(), bar_address=FOLDED_BAR)
        self.first = lab.first_process()
        self.children = Children()
        for thread in self.threads:
            lab.add_task(task_name(thread.tid), self._task(thread), lazy=thread.parent != 0)

    def _task(self, thread: Thread) -> Callable[[], None]:
        def task() -> None:
            mm = self.first if thread.begins is None else self._mm_of(thread.tid)
            for action in thread.actions:
                DO[type(action)](self, mm, action)

        return task

    def _mm_of(self, tid: int) -> Mm:
        cell = self.children.mms.cell(tid, f"mm of {tid}")
        mm: Mm = atomically((cell,), "mm", lambda old: (old, old[0]))
        return mm

    def _hand_over(self, tid: int, mm: Mm) -> None:
        cell = self.children.mms.cell(tid, f"mm of {tid}")
        atomically((cell,), "hand over", lambda _old: ((mm,), None))

    # ---- actions

    def mmap(self, mm: Mm, do: Mmap) -> None:
        for order, address in self.tables:
            if do.start <= address < do.end:
                self._other_mapping(mm, order, self.fold.address(address))
        self.lab.mmap(
            self.vdev, offset=self.fold.offset(do), size=self.fold.length(do),
            address=self.fold.address(do.start), mm=mm,
        )  # fmt: skip

    def _other_mapping(self, mm: Mm, order: int, address: int | None) -> None:
        """Something else of the process has the tables that lead to an address."""
        assert address is not None
        path = path_of(mm, address)[: 1 if order == PUD_ORDER else 2]
        atomically(path, "other mapping", lambda old: ((TABLE,) * len(old), None))

    def munmap(self, mm: Mm, do: Munmap) -> None:
        say(do.mark)
        start, end = self.fold.address(do.start), self.fold.address(do.end)
        if start is not None and end is not None:
            munmap(mm, start, end - start)

    def fault(self, mm: Mm, do: Fault) -> None:
        """The CPU finds no leaf, whatever it had cached: it may have forgotten that."""
        say(do.mark)
        address = self.fold.address(do.address)
        if address is None:
            return
        found = walk(mm, address, LOOK).leaf
        if found is not None:
            log("access", addr=address, leaf=found.order.entry)
            return
        log("pf", addr=address)
        log(LISTEN, on=True)
        signal = exc_page_fault(mm, address)
        log(LISTEN, on=False)
        if signal:
            log("sigbus" if signal & VM_FAULT_SIGBUS else "sigsegv")
        return_to_user_space()
        if not signal and not do.again:
            self._must_reach(mm, address)

    def access(self, mm: Mm, do: Access) -> None:
        say(do.mark)
        address = self.fold.address(do.address)
        if address is not None:
            self._must_reach(mm, address)

    def _must_reach(self, mm: Mm, address: int) -> None:
        """The thread went on, so its access has succeeded."""
        if not reach(mm, address, "access"):
            log("pf", addr=address)

    def command(self, _mm: Mm, do: Command) -> None:
        log("command", mem=do.memory)
        log(LISTEN, on=True)
        self.lab.write_command(self.vdev, memory=do.memory)
        log(LISTEN, on=False)
        log("command.ret")

    def fork(self, mm: Mm, do: Fork) -> None:
        log(LISTEN, on=do.locked)
        child = self.lab.fork(mm)
        log(LISTEN, on=False)
        log("fork", child=do.child)
        self._begin(do.child, child)

    def clone(self, mm: Mm, do: Clone) -> None:
        self.lab.thread(mm)
        log("fork", child=do.child)
        self._begin(do.child, mm)

    def _begin(self, tid: int, mm: Mm) -> None:
        if any(thread.tid == tid for thread in self.threads):
            self._hand_over(tid, mm)
            start(task_name(tid))

    def exit(self, mm: Mm, _do: Exit) -> None:
        self.lab.exit(mm)

    def close(self, _mm: Mm, do: Close) -> None:
        if do.mark:
            say(do.mark)
        else:
            log("close")
        self.lab.close(self.vdev)

    def mmap_lock(self, mm: Mm, do: MmapLock) -> None:
        """Some call that takes mmap_lock, in write mode perhaps to be downgraded."""
        lock = mm.mmap_lock
        log(LISTEN, on=True)
        if do.modes[0] == "w":
            lock.down_write()
            if "r" in do.modes:
                lock.downgrade_write()
                lock.up_read()
            else:
                lock.up_write()
        else:
            lock.down_read()
            lock.up_read()
        log(LISTEN, on=False)


def say(mark: str) -> None:
    """What comes next does not begin before the program has said so."""
    if mark:
        log("mark", s=mark)


def task_name(tid: int) -> str:
    return f"thread {tid}"


DO: dict[type, Callable[[Threads, Mm, Any], None]] = {
    Mmap: Threads.mmap, Munmap: Threads.munmap, Fault: Threads.fault, Access: Threads.access,
    Command: Threads.command, Fork: Threads.fork, Clone: Threads.clone, Exit: Threads.exit,
    Close: Threads.close, MmapLock: Threads.mmap_lock,
}  # fmt: skip
