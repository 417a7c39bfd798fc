"""Doing a workload step by step, touch by touch, and what has been counted after each step."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from pfnlab.cost.counting import Counting, CountingLab
from pfnlab.cost.tables import pud_slots, state_of, used_puds
from pfnlab.engine.current import running_task
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.design import Design
from pfnlab.kernel.errno import show_errno
from pfnlab.kernel.geometry import (
    ORDERS,
    PAGE_SIZE,
    PMD_ORDER,
    PTE_ORDER,
    PUD_ORDER,
    Geometry,
    Order,
    align_down,
    using,
)
from pfnlab.kernel.lab_memory import Mapping
from pfnlab.kernel.madvise import MADV_HUGEPAGE, MADV_NOHUGEPAGE
from pfnlab.kernel.memtype import running_memtypes
from pfnlab.kernel.profile import Kernel
from pfnlab.kernel.tlb import tlb_of
from pfnlab.kernel.type1 import VfioIommu
from pfnlab.kernel.vfio import VfioPciDevice
from pfnlab.kernel.vma import Mm
from pfnlab.workload import (
    Fork,
    MapDma,
    Memory,
    Mremap,
    Munmap,
    Step,
    ThpPolicy,
    Touch,
    UnmapDma,
    Window,
    Workload,
)

ADVICE = {"hugepage": MADV_HUGEPAGE, "nohugepage": MADV_NOHUGEPAGE}
# What MAP_DMA has done, and what it is counted as otherwise.
OF_TYPE1 = {"kernel faults": "resolved", "lookups": "follow", "lookups found": "follow found"}
ROUNDS = 3  # of a step that is done more often: the last must be as the one before


@dataclass
class Moment:
    """What there is.

    puds        the PUD slots that have held something, now or before: there is a table of PUDs
    child_puds  the same of the child
    """

    state: Counter[str]
    puds: frozenset[int]
    child_puds: frozenset[int]


@dataclass
class Counted:
    """A step: what happened in it, and what there was after each action of each round of it.

    An action either maps or takes away, so there is most at one of these moments.
    """

    name: str
    events: Counter[str]
    moments: list[Moment]


@dataclass(frozen=True)
class Setting:
    """What a workload runs on."""

    design: Design
    kernel: Kernel
    thp: ThpPolicy = "always"


def simulate(workload: Workload, setting: Setting, geometry: Geometry) -> list[Counted]:
    """Do every single step.  The first entry is the mmap() of the windows."""
    return Run(workload, setting, geometry).done


class Run:
    """One workload in a lab of its own."""

    def __init__(self, workload: Workload, setting: Setting, geometry: Geometry) -> None:
        self.workload = workload
        self.counts: Counter[str] = Counter()
        self.lab = CountingLab(setting.design, setting.kernel, self.counts)
        self.lab.thp = setting.thp
        self.done: list[Counted] = []
        self.mappings: list[Mapping] = []
        self.child: Mm | None = None
        self.copied: list[Mapping] = []
        self.puds: set[int] = set()
        self.child_puds: set[int] = set()
        self.container: VfioIommu | None = None
        self.mapped: dict[int, Mapping] = {}  # by type1, as they were then: an IOVA stays
        with using(geometry):
            Counting(self.lab, self.build, self.counts)

    def build(self, _program: object) -> None:
        bar = self.workload.bar
        self.vdev: VfioPciDevice = self.lab.vfio_device(bar.size, bar_address=bar.address)
        self.counts.clear()
        for window in self.workload.windows:
            self.mappings.append(self.map(window))
        self.note("map", Counter(self.counts), [self.moment()])
        for step in self.workload.steps:
            self.rounds(step)

    def map(self, window: Window) -> Mapping:
        mapping = self.lab.mmap(
            self.vdev, offset=window.offset, size=window.size, address=window.address
        )
        if window.advice:
            self.lab.madvise(mapping, ADVICE[window.advice])
        return mapping

    def rounds(self, step: Step) -> None:
        """All rounds of a step.  Once a round is as the one before, so are all that follow."""
        total: Counter[str] = Counter()
        last: Counter[str] | None = None
        moments: list[Moment] = []
        for number in range(1, step.times + 1):
            before = Counter(self.counts)
            for action in step.actions:
                self.act(action)
                moments.append(self.moment())
            events = difference(self.counts, before)
            total.update(events)
            if number >= ROUNDS and number < step.times and events == last:
                for name, count in events.items():
                    total[name] += count * (step.times - number)
                break
            last = events
        self.note(step.name, total, moments or [self.moment()])

    def act(self, action: object) -> None:
        if isinstance(action, Touch):
            self.touch(action)
        elif isinstance(action, Memory):
            self.lab.write_command(self.vdev, memory=action.on)
        elif isinstance(action, MapDma):
            if self.container is None:
                self.container = self.lab.iommu_container()
            before = Counter(self.counts)
            mapping = self.mappings[action.window]
            error = self.lab.map_dma(self.container, mapping)
            if not error:
                self.mapped[action.window] = mapping
            for name, seen in OF_TYPE1.items():
                self.counts[name] += self.counts[seen] - before[seen]
            self.counts[f"map_dma {show_errno(error)}"] += error != 0
        elif isinstance(action, UnmapDma):
            assert self.container is not None, "a workload maps before it unmaps"
            if action.window in self.mapped:  # else the kernel refused to map it
                self.lab.unmap_dma(self.container, self.mapped.pop(action.window))
        elif isinstance(action, Fork):
            self.child, self.copied = self.lab.fork(), self.mappings.copy()
            # fork() allocates a table for each that it copies from, also for an empty one.
            self.child_puds = self.puds & pud_slots(self.child).keys()
        elif isinstance(action, Munmap):
            self.lab.munmap(self.mappings[action.window])
        elif isinstance(action, Mremap):
            moved = self.lab.mremap(self.mappings[action.window], new_address=action.address)
            self.counts[f"mremap {show_errno(moved.error)}"] += moved.error != 0
            self.mappings[action.window] = moved

    def touch(self, touch: Touch) -> None:
        mapping = self.mappings[touch.window]
        if touch.in_child:
            if self.child is None:
                raise ModelError("the workload touches in a child before it forks")
            mapping = self.copied[touch.window].of(self.child)  # where it was at the fork
        stop = mapping.size if touch.end is None else touch.end
        start, end = mapping.address + touch.start, mapping.address + stop
        tlb = tlb_of(mapping.mm, running_task())
        for address in pages_of(touch, start, end):
            signal = self.lab.touch(mapping, address - mapping.address)
            self.counts["touches"] += 1
            self.counts["signals"] += bool(signal)
            # Translations are evicted: what is counted here is no matter of the size of a TLB.
            tlb.store.values[tlb.number] = None

    def note(self, name: str, events: Counter[str], moments: list[Moment]) -> None:
        for walked in ("follow", "follow found"):
            events.pop(walked, None)
        events["memtype_lookups"] = events.pop("memtype looks", 0) - events["memtype_reserve"]
        self.done.append(Counted(name, +events, moments))

    def moment(self) -> Moment:
        """After every action: a zap leaves no trace of what was there."""
        state = state_of(self.lab.first_process())
        self.puds |= used_puds(self.lab.first_process())
        store, looks = running_memtypes(), self.counts["memtype looks"]
        state["memtypes"] = len(store.held) + len(store.entries)
        self.counts["memtype looks"] = looks  # this one was not of the design
        if self.child is not None:
            copied = state_of(self.child)
            state.update({f"child {name}": count for name, count in copied.items()})
            self.child_puds |= used_puds(self.child)
        return Moment(+state, frozenset(self.puds), frozenset(self.child_puds))


def difference(after: Counter[str], before: Counter[str]) -> Counter[str]:
    return Counter({name: count - before[name] for name, count in after.items()})


def slots(start: int, end: int, order: Order) -> Iterator[tuple[int, int]]:
    """The parts of a range that lie in one entry of a level each."""
    while start < end:
        stop = min(end, align_down(start, PAGE_SIZE << order) + (PAGE_SIZE << order))
        yield start, stop
        start = stop


def pages_of(touch: Touch, start: int, end: int) -> Iterator[int]:
    """The addresses that are touched, one after the other."""
    order = {order.entry: order for order in ORDERS}[touch.every]
    if touch.direction == "forward":
        return (first for first, _stop in slots(start, end, order))
    if touch.direction == "backward":
        return iter([first for first, _stop in slots(start, end, order)][::-1])
    return scattered(start, end, PUD_ORDER, order)


def scattered(start: int, end: int, around: Order, order: Order) -> Iterator[int]:
    """The first page of no slot of a table comes first, if the range has others in it."""
    if around == order:
        yield from (first for first, _stop in slots(start, end, order))
        return
    below = PMD_ORDER if around == PUD_ORDER else PTE_ORDER
    for first, stop in slots(start, end, around):
        inner = list(slots(first, stop, below))
        for low, high in (*inner[1:], *inner[:1]):
            yield from scattered(low, high, below, order)
