"""What a kernel counts for anybody: faults, memory of page tables, PAT memory types."""

import ctypes
import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from pfnlab.host.errors import HostError
from pfnlab.host.pci import ROOT, read_file, read_text

MEMTYPES = Path("sys/kernel/debug/x86/pat_memtype_list")
RUSAGE_SELF, RUSAGE_THREAD = 0, 1
RUSAGE = 18  # of struct rusage, in longs
RU_MINFLT = 8  # behind two times of two, and four sizes
TRIES = 100


class Faults:
    """ru_minflt of this thread, read in a way that takes no fault of its own.

    Faults that ended in a signal are not in it.  `swept` is a sum of what sweeps faulted.
    """

    def __init__(self) -> None:
        self.swept = 0
        self._usage = (ctypes.c_long * (2 * RUSAGE))()
        self.address = ctypes.addressof(self._usage)
        self._getrusage = ctypes.CDLL(None, use_errno=True).getrusage

    def now(self) -> int:
        if self._getrusage(RUSAGE_THREAD, self._usage):
            raise HostError("getrusage failed")
        return self._usage[RU_MINFLT]

    def between(self) -> int:
        """From the first to the second struct rusage, which somebody else has filled."""
        return self._usage[RUSAGE + RU_MINFLT] - self._usage[RU_MINFLT]

    def settle(self, nothing: Callable[[], int]) -> None:
        """Do what should fault 0 times, and says how often it did, until it does not.

        So the pages that Python itself needs are there.  After a fork each of them faults once
        more when it is written.
        """
        quiet = 0
        for _try in range(TRIES):
            quiet = 0 if nothing() else quiet + 1
            if quiet == 8:
                return


@contextmanager
def no_collection() -> Iterator[None]:
    """Python's garbage collector writes to pages all over, which fault once after a fork."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def page_table_bytes(pid: int | str = "self", root: Path = ROOT) -> int | None:
    """VmPTE of a process; None if it cannot be read."""
    for line in (read_text(root / f"proc/{pid}/status") or "").splitlines():
        if line.startswith("VmPTE:"):
            return int(line.split()[1]) * 1024
    return None


def memtypes(address: int, size: int, root: Path = ROOT) -> int:
    """Entries of the list of PAT memory types that overlap a physical range.

    Raises HostError with the reason if there is no list to read.
    """
    path = root / MEMTYPES
    try:
        text = read_file(path)
    except OSError as error:
        raise HostError(f"cannot read {path}: {error.strerror}") from error
    found = 0
    for line in text.splitlines():  # "PAT: [mem 0x100000000-0x200000000] uncached-minus"
        start, dash, end = line.partition("[mem ")[2].partition("]")[0].partition("-")
        found += bool(dash) and int(start, 16) < address + size and address < int(end, 16)
    return found
