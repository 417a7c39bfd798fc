"""Tracing vfio-pci on the running kernel: faults, locks, inserts, zaps, in their order.

    with Tracer() as tracer:
        tracer.begin()
        ...  # open the device
        tracer.watch_locks()
        tracer.mark("touch 0x7f0000000000")
        ...
        events = tracer.end()

Only this process is traced, and what it forks.  Locks are watched in a second step, as their
addresses are known only when the device has been opened.  "lock" is logged behind the lock,
and "unlock" before it is released: a recorded interval lies inside of the real one.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from pfnlab.host.btf import Btf, vmlinux
from pfnlab.host.errors import HostError
from pfnlab.host.events import Event
from pfnlab.host.trace_text import lost, parse
from pfnlab.host.tracefs import Instance

BUFFER = 16 << 10  # KiB for each CPU
MODULE = "vfio_pci_core"
LOCKS = ("memory_lock", "vma_lock")
SIGBUS = 7
TRACEPOINTS = {
    "exceptions/page_fault_user": "", "signal/signal_generate": f"sig == {SIGBUS}",
    "sched/sched_process_fork": "", "mmap_lock/mmap_lock_start_locking": "",
    "mmap_lock/mmap_lock_acquire_returned": "", "mmap_lock/mmap_lock_released": "",
    "lock/contention_begin": "", "lock/contention_end": "",
}  # fmt: skip
# Each is also called for other files: without a length it is no zap of BARs.
FILTERS = {"unmap_mapping_range": "holelen != 0"}


@dataclass(frozen=True)
class Probe:
    """A kprobe: its event, the function, and what is fetched at entry and at return.

    None: there is no probe at that end.
    """

    event: str
    function: str
    entry: str | None = ""
    leave: str | None = None


def probes_of(kernel: Btf) -> list[Probe]:
    """Those on functions that say what happens, with the offsets of this kernel."""
    address, in_vma = kernel.offset("vm_fault.address"), kernel.offset("vm_fault.vma")
    start, end = (kernel.offset(f"vm_area_struct.vm_{edge}") for edge in ("start", "end"))
    pgoff = kernel.offset("vm_area_struct.vm_pgoff")

    def vma(where: str) -> str:
        return f"vma={where}:x64 start=+{start}({where}):x64 end=+{end}({where}):x64"

    fault = f"addr=+{address}($arg1):x64 {vma(f'+{in_vma}($arg1)')}"
    result, error = "ret=$retval:x32", "ret=$retval:s32"
    page = "vma=$arg1:x64 addr=$arg2:x64 pfn=$arg3:x64"
    leaf = f"addr=+{address}($arg1):x64 pfn=$arg2:x64"
    hole = "holebegin=$arg2:x64 holelen=$arg3:x64"
    return [
        Probe("dev_enable", "vfio_pci_core_enable", "vdev=$arg1:x64"),
        Probe("close_device", "vfio_pci_core_close_device"),
        Probe("mmap", "vfio_pci_core_mmap", f"{vma('$arg2')} pgoff=+{pgoff}($arg2):x64", error),
        Probe("vma_open", "vfio_pci_mmap_open", vma("$arg1")),
        Probe("vma_close", "vfio_pci_mmap_close", vma("$arg1")),
        Probe("fault", "vfio_pci_mmap_fault", fault, result),
        Probe("huge_fault", "vfio_pci_mmap_huge_fault", f"{fault} order=$arg2:u32", result),
        Probe("handle_mm_fault", "handle_mm_fault", "addr=$arg2:x64 flags=$arg3:x32", result),
        Probe("remap_pfn_range", "remap_pfn_range", f"{page} size=$arg4:x64", error),
        Probe("insert_pte", "vmf_insert_pfn", page, result),
        Probe("insert_pmd", "vmf_insert_pfn_pmd", leaf, result),
        Probe("insert_pud", "vmf_insert_pfn_pud", leaf, result),
        Probe("zap", "vfio_pci_zap_and_down_write_memory_lock", "", ""),
        Probe("zap_vma_lock", "vfio_pci_zap_and_vma_lock", "", ""),
        Probe("zap_vma_ptes", "zap_vma_ptes", "addr=$arg2:x64 size=$arg3:x64", ""),
        Probe("unmap_mapping_range", "unmap_mapping_range", hole, ""),
        Probe("cfg_write", "vfio_basic_config_write", "off=$arg5:u32 val=$arg6:x32", ""),
        Probe(
            "copy_range", "copy_page_range",
            f"dst=$arg1:x64 src=$arg2:x64 start=+{start}($arg2):x64", error,
        ),
    ]  # fmt: skip


# Where a function has no result to be fetched, newer kernels refuse $retval.
LOCK_PROBES = (
    *(
        Probe(name, name, "lock=$arg1:x64", "")
        for name in ("mutex_lock", "down_read", "down_write")
    ),
    *(
        Probe(name, name, "lock=$arg1:x64", "ret=$retval:s32")
        for name in ("mutex_trylock", "down_read_trylock", "down_write_trylock")
    ),
    *(Probe(name, name, "lock=$arg1:x64") for name in ("mutex_unlock", "up_read", "up_write")),
)


class Tracer:
    """A context manager; nothing of it is left behind.  Raises HostError and OSError.

    missing  what this kernel has not, by the name of the event, and why
    lost     after end(): how many events were dropped
    """

    def __init__(self, kilobytes: int = BUFFER) -> None:
        self.instance = Instance(kilobytes)
        self.missing: dict[str, str] = {}
        self.lost = 0
        self.locks: dict[int, str] = {}  # by address

    def __enter__(self) -> "Tracer":
        self.kernel = vmlinux()
        self.instance.__enter__()
        try:
            self.own = [name for probe in probes_of(self.kernel) for name in self._add(probe)]
            self.lock_events = [name for probe in LOCK_PROBES for name in self._add(probe)]
        except BaseException:
            self.instance.__exit__()
            raise
        return self

    def __exit__(self, *_exception: object) -> None:
        self.instance.__exit__()

    def _add(self, probe: Probe) -> Iterator[str]:
        """Put a probe there, if the kernel has the function: the names of its events."""
        for name, arguments, at_return in (
            (probe.event, probe.entry, False),
            (f"{probe.event}_ret", probe.leave, True),
        ):
            if arguments is None:
                continue
            try:
                self.instance.add_probe(name, probe.function, arguments, at_return)
            except OSError as error:
                # Where there is no such function, some kernels say ENOENT and some EINVAL.
                self.missing[name] = f"cannot probe {probe.function}: {error.strerror}"
                continue
            yield name

    def begin(self) -> None:
        """Log everything but locks, of this thread and of all that it will make."""
        self.instance.put("set_event_pid", str(os.getpid()))
        for event in self.own:
            self.instance.enable(event, FILTERS.get(event, ""))
        for event, only_if in TRACEPOINTS.items():
            try:
                self.instance.enable(event, only_if)
            except OSError:
                self.missing[event] = "no such tracepoint"
        self.instance.put("tracing_on", "1")

    def watch_locks(self) -> None:
        """Log the locks of the device that was opened since begin(), too."""
        opened = [event for event in parse(self.instance.text()) if event.kind == "dev_enable"]
        if not opened:
            raise HostError("no device was opened, or vfio_pci_core_enable cannot be probed")
        device = int(opened[-1].args["vdev"], 16)
        module = Btf(Path(f"/sys/kernel/btf/{MODULE}").read_bytes(), self.kernel)
        for lock in LOCKS:
            try:
                self.locks[device + module.offset(f"vfio_pci_core_device.{lock}")] = lock
            except HostError:
                self.missing[lock] = f"no vfio_pci_core_device.{lock}"
        ours = " || ".join(f"lock == {address:#x}" for address in self.locks)
        first, last = module_text(MODULE)
        for event in self.lock_events:
            called = f"__probe_ret_ip >= {first:#x} && __probe_ret_ip < {last:#x}"
            self.instance.enable(event, called if event.endswith("_ret") else ours)

    def mark(self, text: str) -> None:
        """Say in the trace what comes next; docs/conform.md has the words that count."""
        self.instance.mark(text)

    def end(self) -> list[Event]:
        """All events so far, as the probes logged them; nothing is logged any more."""
        self.instance.put("tracing_on", "0")
        text = self.instance.text()
        self.lost = lost(text)
        return [self._named(event) for event in parse(text)]

    def _named(self, event: Event) -> Event:
        lock = event.args.get("lock", "")
        if not str(lock).startswith("0x"):
            return event
        return replace(event, args={**event.args, "lock": self.locks.get(int(lock, 16), lock)})


def module_text(name: str, path: Path = Path("/proc/modules")) -> tuple[int, int]:
    """The addresses of a loaded module; raises HostError."""
    found = re.search(rf"^{name} (\d+) .* (0x[0-9a-f]+)", path.read_text(), re.M)
    if found is None or not int(found[2], 16):
        raise HostError(f"{name} is not loaded as a module, or {path} hides addresses")
    return int(found[2], 16), int(found[2], 16) + int(found[1])
