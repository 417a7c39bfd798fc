"""All counters that this kernel gives, and for the others the reason why not."""

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Self

from pfnlab.host.btf import vmlinux
from pfnlab.host.counters import memtypes, page_table_bytes
from pfnlab.host.errors import HostError
from pfnlab.host.handler_calls import Call, HandlerCalls, count_calls, counting
from pfnlab.host.kcore import Kcore
from pfnlab.host.levels import MEMBERS, PageTables, PageTableWalker
from pfnlab.host.pci import BarResource

Parts = Sequence[tuple[int, int]]
_offsets: dict[str, int] = {}  # of members of structs, as far as they are known


class Observer:
    """Used by `with`.  `missing` tells what is not counted, and why."""

    def __init__(self, bar: BarResource) -> None:
        self.bar = bar
        self.missing: dict[str, str] = {}
        self._stack = ExitStack()
        self._handler: HandlerCalls | None = None
        self._walker: PageTableWalker | None = None
        self._last: dict[str, Counter[Call]] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            try:
                self._handler = stack.enter_context(counting())
            except HostError as error:
                self.missing["calls"] = str(error)
            try:
                kcore = Kcore()
                stack.callback(kcore.close)
                self._walker = page_table_walker(kcore)
            except HostError as error:
                self.missing["leaves"] = str(error)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stack.close()

    def start(self) -> None:
        """Calls from now on are counted."""
        if self._handler is not None:
            self._last = self._handler.read()

    def calls(self, child: int | None = None) -> dict[str, int]:
        """Of the fault handler since the last time, by this process and its child."""
        if self._handler is None:
            return {}
        try:
            now = self._handler.read()
        except HostError as error:
            self.missing["calls"] = str(error)
            return {}
        new = {function: calls - self._last[function] for function, calls in now.items()}
        self._last = now
        return count_calls(new, {os.getpid(), *(() if child is None else (child,))})

    def state(self, parts: Parts) -> dict[str, int]:
        """What there is now, of parts of this process that are mapped."""
        state = self.tables(parts, os.getpid())
        try:
            state["memtypes"] = memtypes(self.bar.address, self.bar.size)
        except HostError as error:
            self.missing["memtypes"] = str(error)
        return state

    def state_of_child(self, parts: Parts, child: int) -> dict[str, int]:
        return {f"child {name}": count for name, count in self.tables(parts, child).items()}

    def tables(self, parts: Parts, pid: int) -> dict[str, int]:
        found: dict[str, int] = {}
        if self._walker is not None:
            tables = PageTables()
            try:
                for start, end in parts:
                    self._walker.walk_into(tables, start, end, pid)
                found.update(tables.counts())
            except HostError as error:
                self.missing["leaves"] = str(error)
        size = page_table_bytes(pid)
        if size is None:
            self.missing["VmPTE"] = f"/proc/{pid}/status does not tell"
        else:
            found["VmPTE"] = size
        return found


def page_table_walker(kcore: Kcore) -> PageTableWalker:
    """Raises HostError if this kernel does not tell enough about itself."""
    if os.uname().machine != "x86_64":
        raise HostError("page tables are walked on x86-64 only")
    return PageTableWalker(kcore, offset_of)


def offset_of(member: str) -> int:
    """Of "struct.member" of the running kernel; raises HostError if it is not told."""
    if member not in _offsets:
        _offsets[member] = vmlinux().offset(member)
    return _offsets[member]


def learn_offsets(known: Mapping[str, int]) -> None:
    """Later runs, also in forks, look for none of MEMBERS; `known` are found already."""
    _offsets.update(known)
    for member in MEMBERS:
        offset_of(member)
