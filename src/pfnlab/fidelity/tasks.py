"""The threads of a trace as tasks of the model.

Each does what its thread did, by the functions of the model's kernel, and logs what a tracer
would.  What a thread could not have done shows as a log that the trace does not have.
"""

from collections.abc import Callable
from dataclasses import replace
from types import FrameType
from typing import Any

from pfnlab.engine.access import atomically
from pfnlab.engine.program import Rule
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
from pfnlab.fidelity.probe import LISTEN, LOOK, Log, log, result_name
from pfnlab.kernel.cpu import reach
from pfnlab.kernel.design import Design
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.fault_codes import VM_FAULT_SIGBUS, vm_fault_t
from pfnlab.kernel.geometry import PUD_ORDER, Order
from pfnlab.kernel.lab import Lab
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.munmap import munmap
from pfnlab.kernel.pagetable import TABLE, path_of, walk
from pfnlab.kernel.profile import Kernel
from pfnlab.kernel.user_fault import exc_page_fault
from pfnlab.kernel.vfio import VfioPciDevice
from pfnlab.kernel.vma import Mm, Vma
from pfnlab.kernel.vmfault import VmFault


class ConformLab(Lab):
    """A lab without rules: what a kernel did may be wrong, and is what it did."""

    def __init__(self, design: Design, kernel: Kernel, thp: str) -> None:
        super().__init__(traced(design), kernel)
        self.monitors.clear()
        self.sites: dict[tuple[str, Log], str] = {}  # of each log of a task, if recorded
        if thp in ("madvise", "never"):
            self.thp = "madvise" if thp == "madvise" else "never"

    def enforces(self, rule: Rule) -> bool:
        return False

    def site_of(self, frames: list[FrameType]) -> str:
        return super().site_of([frame for frame in frames if _is_model(frame)])


def _is_model(frame: FrameType) -> bool:
    return not str(frame.f_globals.get("__name__", "")).startswith("pfnlab.fidelity")


class Children(Shared):
    """The mm of each child, which its parent leaves here."""

    mms = words()

    def __init__(self) -> None:
        self.name = "children"


def traced(design: Design) -> Design:
    """A design whose hooks log when they are called and when they return."""
    ops, map_it, zap = design.vm_ops, design.mmap, design.zap_and_down_write_memory_lock
    fault, huge_fault, opened, closed = ops.fault, ops.huge_fault, ops.open, ops.close
    assert map_it is not None and zap is not None

    def traced_mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        log("mmap", start=vma.vm_start, end=vma.vm_end)
        error = map_it(vdev, vma)
        log("mmap.ret", ret=error)
        return error

    def traced_fault(vmf: VmFault) -> vm_fault_t:
        assert fault is not None
        log(
            "fault.enter",
            addr=vmf.address,
            order=0,
            handler="huge_fault" if huge_fault else "fault",
        )
        return left(fault(vmf))

    def traced_huge_fault(vmf: VmFault, order: Order) -> vm_fault_t:
        assert huge_fault is not None
        log("fault.enter", addr=vmf.address, order=int(order), handler="huge_fault")
        return left(huge_fault(vmf, order))

    def left(result: vm_fault_t) -> vm_fault_t:
        log("fault.exit", ret=result_name(result))
        return result

    def hook(kind: str, function: Callable[[Vma], None]) -> Callable[[Vma], None]:
        def traced_hook(vma: Vma) -> None:
            log(kind, start=vma.vm_start, end=vma.vm_end)
            function(vma)

        return traced_hook

    def traced_zap(vdev: VfioPciDevice) -> None:
        log("zap.enter")
        zap(vdev)
        log("zap.exit")

    return replace(
        design,
        mmap=traced_mmap,
        vm_ops=replace(
            ops,
            fault=None if fault is None else traced_fault,
            huge_fault=None if huge_fault is None else traced_huge_fault,
            open=None if opened is None else hook("vma_open", opened),
            close=None if closed is None else hook("vma_close", closed),
        ),
        zap_and_down_write_memory_lock=traced_zap,
    )


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
