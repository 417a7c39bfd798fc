"""A workload on a real device, step by step, and what was counted: see measured.py."""

import errno
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from typing import Protocol

from pfnlab.host.access import Signals
from pfnlab.host.child import Child, Cost, timed_sweep
from pfnlab.host.config_space import ConfigSpace
from pfnlab.host.counters import Faults, no_collection
from pfnlab.host.errors import HostError
from pfnlab.host.machine import read_machine
from pfnlab.host.mapping_design import name_of_running
from pfnlab.host.memory import PUD, Mapping, madvise
from pfnlab.host.observe import Observer, learn_offsets
from pfnlab.host.pci import PciDevice
from pfnlab.host.touches import runs_of
from pfnlab.measured import Measured, MeasuredStep
from pfnlab.workload import (
    Action,
    Bar,
    Fork,
    MapDma,
    Memory,
    Mremap,
    Munmap,
    Place,
    Touch,
    UnmapDma,
    Window,
    Workload,
)

FIRST_IOVA = 4 << 30  # above what the IOMMU of a PC keeps for interrupts
Done = Callable[[MeasuredStep], None]
_designs: dict[str, str] = {}  # names by release, as far as they are known


class Device(Protocol):
    """What is needed of a VfioDevice."""

    pci: PciDevice
    config: ConfigSpace

    def map_window(
        self, bar: int, offset: int, size: int, place: Place, address: int
    ) -> Mapping: ...
    def map_dma(self, address: int, size: int, iova: int) -> None: ...
    def unmap_dma(self, iova: int) -> None: ...


def run(
    workload: Workload,
    device: Device,
    bar: int,
    done: Done = lambda _step: None,
    over: Callable[[Measured], None] = lambda _measured: None,
) -> Measured:
    """Do every action, in this process.  `done` is told each step when it is over.

    `over` is told all of it while the probes are still there, and may end the process.
    The device decodes memory when the workload begins, and has no mapping when it is over.
    Raises HostError for what cannot be done, and OSError from the kernel.
    """
    resource = device.pci.bar(bar)
    if workload.bar.size > resource.size:
        raise HostError(
            f"the workload is for a BAR of {workload.bar.size:#x} bytes, and BAR {bar} of "
            f"{device.pci.bdf} has {resource.size:#x}"
        )
    steps = []
    with Observer(resource) as observer:
        runner = Runner(workload, device, bar, observer)
        try:
            for step in runner.steps():
                steps.append(step)
                done(step)
        finally:
            runner.close()
        machine = read_machine()
        measured = Measured(
            replace(runner.workload(), bar=Bar(resource.size, resource.address)),
            tuple(steps),
            machine.kernel,
            design_name(machine.kernel),
            f"{device.pci.id} {device.pci.bdf} BAR {bar}",
            machine.name,
            machine.virtual,
            time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime()),
            machine.thp,
            machine.version,
            observer.missing,
        )
        over(measured)
    return measured


def learn(offsets: dict[str, int], design: str = "") -> None:
    """Find out what stays as it is while this kernel runs: later runs, also in forks, have it.

    `offsets` of members of structs, and the name of the `design`, need not be found any more.
    """
    with suppress(HostError):
        learn_offsets(offsets)
    if design:
        _designs[os.uname().release] = design
    design_name(os.uname().release)


def design_name(release: str) -> str:
    """Of the running kernel, which does not change while this process lives."""
    if release not in _designs:
        _designs[release] = name_of_running(release=release)
    return _designs[release]


class Runner:
    """One workload.  Only what a step itself does is timed and counted, and no Python around."""

    def __init__(self, workload: Workload, device: Device, bar: int, observer: Observer) -> None:
        self.asked = workload
        self.device = device
        self.bar = bar
        self.observer = observer
        self.faults = Faults()
        self.events: Counter[str] = Counter()
        self.seconds = 0.0
        self.mappings: list[Mapping] = []
        self.addresses: list[int] = []
        self.moved: dict[int, int] = {}
        self.iovas: dict[int, int] = {}  # that are mapped, by window
        self.iova_at: dict[int, int] = {}  # by address
        self.next_iova = FIRST_IOVA
        self.child: Child | None = None
        self.of_child: list[Mapping] = []

    def steps(self) -> Iterator[MeasuredStep]:
        self.device.config.set_memory(True)
        self.observer.start()
        for window in self.asked.windows:
            self.map(window)
        yield self.note("map")
        for step in self.asked.steps:
            for _time in range(step.times):
                for action in step.actions:
                    self.act(action)
            yield self.note(step.name)

    def note(self, name: str) -> MeasuredStep:
        child = None if self.child is None else self.child.pid
        self.events.update(self.observer.calls(child))
        state = self.observer.state(parts_of(self.mappings))
        if child is not None:
            state.update(self.observer.state_of_child(parts_of(self.of_child), child))
        step = MeasuredStep(name, dict(+self.events), state, self.seconds)
        self.events.clear()
        self.seconds = 0.0
        return step

    def map(self, window: Window) -> None:
        with self.timed():
            mapping = self.device.map_window(
                self.bar, window.offset, window.size, window.place, window.address
            )
        self.mappings.append(mapping)
        self.addresses.append(mapping.address)
        if window.advice:
            with self.timed():
                madvise(mapping.address, mapping.size, window.advice)

    @contextmanager
    def timed(self) -> Iterator[None]:
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - start

    def act(self, action: Action) -> None:
        if isinstance(action, Touch):
            self.touch(action)
        elif isinstance(action, Memory):
            with self.timed():
                self.device.config.set_memory(action.on)
        elif isinstance(action, MapDma):
            self.map_dma(action.window)
        elif isinstance(action, UnmapDma):
            if action.window in self.iovas:  # else the kernel refused to map it
                with self.timed():
                    self.device.unmap_dma(self.iovas.pop(action.window))
        elif isinstance(action, Fork):
            if self.child is not None:
                raise HostError("a workload forks once")
            self.of_child = [replace(mapping) for mapping in self.mappings]
            self.child = Child()
            self.seconds += self.child.seconds
        elif isinstance(action, Munmap):
            mapping = mapped(self.mappings, action.window)
            with self.timed():
                mapping.unmap()
        else:
            self.move(action)

    def touch(self, touch: Touch) -> None:
        if touch.in_child and self.child is None:
            raise HostError("the workload touches in a child before it forks")
        mapping = mapped(self.of_child if touch.in_child else self.mappings, touch.window)
        runs = runs_of(touch, mapping.address, mapping.size)
        if touch.in_child and self.child is not None:
            self.add(self.child.sweep(runs))
        else:
            self.add(timed_sweep(runs, self.faults))

    def add(self, cost: Cost) -> None:
        self.events["faults"] += cost.faults
        self.events["signals"] += cost.signals.bus
        self.events["SIGSEGV"] += cost.signals.segv
        self.seconds += cost.seconds

    def map_dma(self, window: int) -> None:
        """type1 takes the faults, and they count as those of this thread."""
        mapping = mapped(self.mappings, window)
        iova = self.iova_of(mapping)
        error = 0

        def attempt(size: int) -> Cost:
            nonlocal error
            before = self.faults.now()
            start = time.perf_counter()
            try:
                self.device.map_dma(mapping.address, size, iova)
            except OSError as raised:
                error = raised.errno or 0
            else:
                error = 0
            seconds = time.perf_counter() - start
            return Cost(self.faults.now() - before, Signals(), seconds)

        with no_collection():
            self.faults.settle(lambda: attempt(0).faults)  # of nothing: the kernel refuses it
            self.add(attempt(mapping.size))
        if error:
            self.events[f"map_dma -{errno.errorcode.get(error, error)}"] += 1
        else:
            self.iovas[window] = iova

    def iova_of(self, mapping: Mapping) -> int:
        """One for each address, as the model has it: to map one twice is -EEXIST."""
        if mapping.address not in self.iova_at:
            self.iova_at[mapping.address] = self.next_iova
            self.next_iova += -(-mapping.size // PUD) * PUD
        return self.iova_at[mapping.address]

    def move(self, action: Mremap) -> None:
        mapping = mapped(self.mappings, action.window)
        with self.timed():
            mapping.move(action.address)
        self.moved[id(action)] = mapping.address

    def workload(self) -> Workload:
        """As asked, with the addresses that there really were."""
        windows = tuple(
            replace(window, address=address)
            for window, address in zip(self.asked.windows, self.addresses, strict=True)
        )
        steps = tuple(
            replace(step, actions=tuple(self.with_address(action) for action in step.actions))
            for step in self.asked.steps
        )
        return replace(self.asked, windows=windows, steps=steps)

    def with_address(self, action: Action) -> Action:
        if isinstance(action, Mremap) and id(action) in self.moved:
            return replace(action, address=self.moved[id(action)])
        return action

    def close(self) -> None:
        """Also after an error: nothing of the workload stays."""
        with ExitStack() as stack:
            for mapping in self.mappings:
                stack.callback(mapping.unmap)
            for iova in self.iovas.values():
                stack.callback(self.device.unmap_dma, iova)
            if self.child is not None:
                stack.callback(self.child.close)


def mapped(mappings: list[Mapping], window: int) -> Mapping:
    mapping = mappings[window]
    if not mapping.address:
        raise HostError(f"the workload uses window {window} after its munmap()")
    return mapping


def parts_of(mappings: list[Mapping]) -> list[tuple[int, int]]:
    """What is mapped, from and up to an address."""
    return [(mapping.address, mapping.end) for mapping in mappings if mapping.address]
