"""Probes on the model's kernel functions, where the tracer has its own on the kernel's.

A probe logs, by the names that a trace has: see docs/conform.md.  As a kprobe, it is put on a
function from outside, and taken away again; the kernel functions know nothing of it.
"""

import gc
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from typing import Any

from pfnlab.engine import operation as op_
from pfnlab.engine.current import setting_up
from pfnlab.engine.operation import Operation
from pfnlab.engine.step import perform
from pfnlab.host.normalise import RESULTS
from pfnlab.kernel.fault import handle_mm_fault
from pfnlab.kernel.fault_codes import FAULT_FLAG_VMA_LOCK, FaultFlag
from pfnlab.kernel.fork import copy_page_range
from pfnlab.kernel.remap import (
    remap_pfn_range,
    vmf_insert_pfn,
    vmf_insert_pfn_pmd,
    vmf_insert_pfn_pud,
)
from pfnlab.kernel.vma import AddressSpace, Vma
from pfnlab.kernel.vmfault import VmFault
from pfnlab.kernel.zap import unmap_mapping_range, zap_vma_ptes

LOOK = "look"  # the verb of the walk of a CPU that finds no leaf
LISTEN = "listen"  # no event: says if mmap_lock is of interest now


@dataclass(frozen=True)
class Log:
    """What a tracer would write: the kind of an event, and its arguments."""

    kind: str
    args: tuple[tuple[str, Any], ...] = ()


class Listener:
    """Whom an operation tells; whoever runs the tasks takes the log from the operation."""

    def heard(self, heard: list[Any], execution: Any) -> None:
        """Keep the source lines of logs, where those are recorded."""
        if execution.recorder is not None:
            task = execution.program.task_named(heard[-1].task)
            execution.program.sites[task.name, heard[-1].what] = execution.recorder.site(task)


LISTENER = Listener()


def log(kind: str, **args: Any) -> None:
    """The running task comes to a probe.  No step."""
    if not setting_up():
        value = Log(kind, tuple(args.items()))
        perform(Operation(op_.MONITOR, "log", value=value, target=LISTENER))


def result_name(code: int) -> str:
    """ "NOPAGE"; a combination is a number, as in a trace."""
    return RESULTS.get(int(code), hex(code))


Enter = Callable[..., None]
Leave = Callable[..., None]


def _fault_core(_vma: Vma, _address: int, flags: FaultFlag) -> None:
    log("fault.core", lock="vma" if flags & FAULT_FLAG_VMA_LOCK else "mmap")


def _fault_core_ret(result: int, *_args: object) -> None:
    log("fault.core.ret", ret=result_name(result))


def _remapped(result: int, _vma: Vma, addr: int, pfn: int, size: int, _prot: str) -> None:
    log("insert", level="range", addr=addr, pfn=pfn, size=size, ret=result)


def _inserted(result: int, _vma: Vma, addr: int, pfn: int) -> None:
    log("insert", level="pte", addr=addr, pfn=pfn, ret=int(result))


def _inserted_pmd(result: int, vmf: VmFault, pfn: int, write: bool) -> None:
    log("insert", level="pmd", addr=vmf.address, pfn=pfn, ret=int(result))


def _inserted_pud(result: int, vmf: VmFault, pfn: int, write: bool) -> None:
    log("insert", level="pud", addr=vmf.address, pfn=pfn, ret=int(result))


def _zap_vma(_vma: Vma, address: int, size: int) -> None:
    log("zap.vma", addr=address, size=size)


def _zap_range(
    _mapping: AddressSpace, holebegin: int, holelen: int, even_cows: bool = True
) -> None:
    log("zap.range", begin=holebegin, len=holelen)


def _copy(_dst_vma: Vma, src_vma: Vma) -> None:
    log("fork.copy", start=src_vma.vm_start)


PROBES: dict[Callable[..., Any], tuple[Enter | None, Leave | None]] = {
    handle_mm_fault: (_fault_core, _fault_core_ret),
    remap_pfn_range: (None, _remapped),
    vmf_insert_pfn: (None, _inserted),
    vmf_insert_pfn_pmd: (None, _inserted_pmd),
    vmf_insert_pfn_pud: (None, _inserted_pud),
    zap_vma_ptes: (_zap_vma, lambda *_args: log("zap.vma.ret")),
    unmap_mapping_range: (_zap_range, lambda *_args, **_more: log("zap.range.ret")),
    copy_page_range: (_copy, lambda *_args: log("fork.copy.ret", ret=0)),
}


@contextmanager
def probes() -> Iterator[None]:
    """Put all probes there for a `with` block: in each module that has such a function."""
    put: list[tuple[dict[str, Any], str, Callable[..., Any]]] = []
    try:
        for function, (enter, leave) in PROBES.items():
            probe = _probed(function, enter, leave)
            for names in _modules_with(function):
                for name in [name for name, value in names.items() if value is function]:
                    put.append((names, name, function))
                    names[name] = probe
        yield
    finally:
        for names, name, function in put:
            names[name] = function


def _probed(
    function: Callable[..., Any], enter: Enter | None, leave: Leave | None
) -> Callable[..., Any]:
    @wraps(function)
    def probe(*args: Any, **kwargs: Any) -> Any:
        if enter is not None:
            enter(*args, **kwargs)
        result = function(*args, **kwargs)
        if leave is not None:
            leave(result, *args, **kwargs)
        return result

    return probe


def _modules_with(function: Callable[..., Any]) -> list[dict[str, Any]]:
    """The namespaces of modules that have a function, also those of a user's own files."""
    return [
        found
        for found in gc.get_referrers(function)
        if isinstance(found, dict) and "__name__" in found and found is not globals()
    ]
