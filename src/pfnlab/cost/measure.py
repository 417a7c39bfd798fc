"""Measuring what any Linux host can do without a device: faults, fork and zap of its own memory.

Shared memory stands for a BAR.  Its pages are there before a fault is timed, so a fault only
fills the page table, as that of a BAR does; but it also counts a user of the page.
"""

import mmap
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pfnlab.cost.calibration import Calibration
from pfnlab.engine.errors import ModelError

PAGE = 4096
HUGE = 2 << 20
REPEATS = 7


@dataclass(frozen=True)
class Measured:
    """What was found, and what could not be measured, with the reason."""

    calibration: Calibration
    skipped: dict[str, str]


def measure(name: str, size: int = 64 << 20) -> Measured:
    """About a second.  `size` bytes of memory are used, three times."""
    if not hasattr(os, "memfd_create"):
        raise ModelError("calibrate needs Linux")
    ns: dict[str, float] = {}
    skipped: dict[str, str] = {}
    ns["fault_pte"], ns["clear_pte"] = small_faults(size)
    huge = huge_faults(size)
    if isinstance(huge, str):
        skipped["fault_pmd"] = skipped["clear_pmd"] = huge
    else:
        ns["fault_pmd"], ns["clear_pmd"] = huge
    ns["copy_pte"] = fork_copies(size)
    for key in ("fault_pud", "insert_pte", "lookup", "clear_pud"):
        skipped[key] = "needs a device"
    virtual = runs_in_a_guest()
    return Measured(
        Calibration(
            name, cpu_model(), platform.release(), datetime.now(UTC).date().isoformat(),
            f"pfnlab calibrate on {size >> 20} MiB: write faults on shared memory that is there "
            "already, MADV_DONTNEED of it, fork() with as much private memory; "
            f"medians of {REPEATS}",
            "this host",
            virtual,
            ns,
        ),
        skipped,
    )  # fmt: skip


def small_faults(size: int) -> tuple[float, float]:
    """ns of one fault and of one zap of a page, on shared memory."""
    descriptor = os.memfd_create("pfnlab")
    try:
        os.ftruncate(descriptor, size)
        with mmap.mmap(descriptor, size) as first:
            touch(first, PAGE)
            with mmap.mmap(descriptor, size) as memory:
                return faults_and_zaps(memory, PAGE)
    finally:
        os.close(descriptor)


def huge_faults(size: int) -> tuple[float, float] | str:
    """The same with 2 MiB pages, or why not."""
    path = Path("/sys/kernel/mm/transparent_hugepage/shmem_enabled")
    if not path.exists():
        return "no transparent huge pages"
    if not hasattr(mmap, "MADV_HUGEPAGE"):
        return "this Python does not know MADV_HUGEPAGE"
    with mmap.mmap(-1, size + HUGE) as memory:
        try:
            memory.madvise(mmap.MADV_HUGEPAGE)
        except OSError:
            return "MADV_HUGEPAGE is refused"
        before = minor_faults()
        touch(memory, PAGE)
        if minor_faults() - before > size // PAGE // 8:
            chosen = path.read_text(encoding="utf-8").strip()
            return f"shared memory gets no 2 MiB pages here (shmem_enabled: {chosen})"
        return faults_and_zaps(memory, HUGE)


def faults_and_zaps(memory: mmap.mmap, step: int) -> tuple[float, float]:
    """ns of a fault and of a zap of what one access in each step brings in."""

    def fault() -> None:
        touch(memory, step)

    fault()
    warm = median_ns(fault, lambda: None)
    faults = median_ns(fault, lambda: memory.madvise(mmap.MADV_DONTNEED))
    zaps = median_ns(lambda: memory.madvise(mmap.MADV_DONTNEED), fault)
    count = touches(memory, step)
    return max(faults - warm, 0.0) / count, zaps / count


def fork_copies(size: int) -> float:
    """ns that fork() takes for each page of private memory; it copies those tables, too."""
    with mmap.mmap(-1, size, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS) as memory:
        if hasattr(mmap, "MADV_NOHUGEPAGE"):
            memory.madvise(mmap.MADV_NOHUGEPAGE)
        empty = median_ns(fork_once, lambda: None)
        touch(memory, PAGE)
        full = median_ns(fork_once, lambda: touch(memory, PAGE))
    return max(full - empty, 0.0) / (size // PAGE)


def fork_once() -> None:
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def touch(memory: mmap.mmap, step: int) -> None:
    """Write a byte in each step, in one call: a loop in Python would be all that is measured."""
    memory[::step] = bytes(touches(memory, step))


def touches(memory: mmap.mmap, step: int) -> int:
    return -(-len(memory) // step)


def median_ns(measured: Callable[[], object], prepare: Callable[[], object]) -> float:
    times = []
    for _ in range(REPEATS):
        prepare()
        start = time.perf_counter_ns()
        measured()
        times.append(time.perf_counter_ns() - start)
    return statistics.median(times)


def minor_faults() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt


def cpu_model() -> str:
    for line in read("/proc/cpuinfo").splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine() or "unknown"


def runs_in_a_guest() -> bool:
    return any(line.startswith("flags") and " hypervisor" in line for line in
               read("/proc/cpuinfo").splitlines())  # fmt: skip


def read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
