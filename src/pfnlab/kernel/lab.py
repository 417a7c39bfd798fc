"""The lab: devices, processes and tasks, as a scenario sets them up."""

from collections.abc import Iterator
from types import FrameType
from typing import NamedTuple

from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import running
from pfnlab.engine.program import Invariant, Program
from pfnlab.engine.shared import Shared
from pfnlab.engine.word import atomically, word
from pfnlab.kernel.cpu import access
from pfnlab.kernel.design import Design
from pfnlab.kernel.errno import Errno, show_errno
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.fork import dup_mmap
from pfnlab.kernel.futex import futex_wake_op
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, PMD_ORDER, PUD_ORDER, GiB, TiB
from pfnlab.kernel.lockdep import Lockdep
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.mmap import mmap_region, munmap
from pfnlab.kernel.pagetable import Leaf, leaves_of
from pfnlab.kernel.profile import Kernel, find_kernel
from pfnlab.kernel.rule import LeafRule
from pfnlab.kernel.type1 import DmaMap, VfioIommu, vfio_dma_do_map
from pfnlab.kernel.vfio import (
    PCI_COMMAND_MEMORY,
    VFIO_PCI_INDEX_TO_OFFSET,
    VfioPciDevice,
    vfio_basic_config_write,
)
from pfnlab.kernel.vma import Mm

BAR_ADDRESS = 0x3800000000
MMAP_BASE = 0x7F0000000000


class Mapping(NamedTuple):
    """What user space knows of a mapping: addresses, no VMA.

    `error` is 0, or the negative error number of an mmap() that failed.
    """

    mm: Mm
    address: int
    size: int
    error: Errno = 0

    def of(self, mm: Mm) -> "Mapping":
        """The same mapping in a process that was forked."""
        return self._replace(mm=mm)


class Machine(Shared):
    """What there is only one of: the list of processes."""

    mms = word[tuple[Mm, ...]](())

    def __init__(self) -> None:
        self.name = "machine"


class Lab(Program):
    """One scenario on one design.

    Everything a scenario may do is a method here.  Methods that a task calls make
    steps; called outside of a task they set the first state up.
    """

    def __init__(self, design: Design, kernel: Kernel | None = None) -> None:
        super().__init__()
        self.design = design
        self.kernel = kernel or find_kernel(design.kernel)
        self.devices: list[VfioPciDevice] = []
        self.machine: Machine | None = None
        self.leaf_rules: list[LeafRule] = []
        self.monitors.append(Lockdep())
        self._files = design.files()
        self._mapped = 0  # mappings made while setting up
        self._processes = 1

    # ---- setting up

    def vfio_device(self, *bar_sizes: int, bar_address: int = BAR_ADDRESS) -> VfioPciDevice:
        """A device with memory enabled.  BARs have sizes in bytes; the default is one PMD."""
        sizes = bar_sizes or (PAGE_SIZE << PMD_ORDER,)
        bars = []
        for size in sizes:
            if size <= 0 or size % PAGE_SIZE:
                raise ModelError(f"a BAR of {size} bytes; the size must be a multiple of 4 KiB")
            bars.append((bar_address, size))
            bar_address += max(size, PAGE_SIZE << PUD_ORDER)
        name = "vdev" if not self.devices else f"vdev{len(self.devices) + 1}"
        vdev = self.design.device(name, tuple(bars), self.design)
        self.devices.append(vdev)
        return vdev

    def process(self) -> Mm:
        """Another process than the first one, which is there anyway."""
        self.first_process()
        self._processes += 1
        return self._add_process(f"mm{self._processes}")

    def first_process(self) -> Mm:
        """The process of every mapping that names no other."""
        if self.machine is None:
            self.machine = Machine()
            self._first = self._add_process("mm")
        return self._first

    def _add_process(self, name: str) -> Mm:
        assert self.machine is not None
        mm = Mm(name)
        cell = Machine.mms.cell(self.machine)
        atomically((cell,), "fork", lambda old: (((*old[0], mm),), None), detail=lambda _: name)
        return mm

    def iommu_container(self) -> VfioIommu:
        """A type1 container without mappings."""
        return VfioIommu("iommu")

    def always(self, *rules: Invariant | LeafRule) -> None:
        """Rules that must hold after every step, or for every leaf."""
        for rule in rules:
            if isinstance(rule, LeafRule):
                self.leaf_rules.append(rule)
            else:
                super().always(rule)

    # ---- what user space does

    def mmap(
        self,
        vdev: VfioPciDevice,
        *,
        bar: int = 0,
        offset: int = 0,
        size: int | None = None,
        address: int | None = None,
        mm: Mm | None = None,
    ) -> Mapping:
        """mmap() part of a BAR, all of it by default; offset and size in bytes.

        In a task an error is in the result; while setting up it is a ModelError.
        """
        if mm is None:
            mm = self.first_process()
        if not 0 <= bar < len(vdev.bars):
            raise ModelError(f"{vdev} has no BAR {bar}")
        length = vdev.bars[bar][1] - offset if size is None else size
        for what, value in (("offset", offset), ("size", length), ("address", address or 0)):
            if value < 0 or value % PAGE_SIZE:
                raise ModelError(f"mmap of BAR {bar}: {what} {value:#x} is no multiple of 4 KiB")
        start = self._free_address(offset) if address is None else address
        pgoff = (VFIO_PCI_INDEX_TO_OFFSET(bar) + offset) >> PAGE_SHIFT
        vma, error = mmap_region(mm, vdev, start, length, pgoff)
        if vma is None and running()[1].index < 0:
            raise ModelError(f"mmap of BAR {bar}, offset {offset:#x}: {show_errno(error)}")
        return Mapping(mm, start, length, error)

    def _free_address(self, offset: int) -> int:
        """Congruent to the offset in the BAR at every level, and far from the others."""
        _execution, task = running()
        if task.index < 0:
            self._mapped += 1
            return MMAP_BASE + (self._mapped - 1) * GiB + offset
        return MMAP_BASE - (task.index + 1) * TiB + task.created * GiB + offset

    def fork(self, mm: Mm | None = None) -> Mm:
        """fork(): returns the child's mm; Mapping.of() tells where a mapping is there."""
        parent = mm or self.first_process()
        _execution, task = running()
        child = self._add_process(f"child{task.created or ''}")
        dup_mmap(child, parent)
        return child

    def futex_wake_op(self, mapping: Mapping) -> Errno:
        """A futex operation on the first word of a mapping."""
        return futex_wake_op(mapping.mm, mapping.address)

    def munmap(self, mapping: Mapping) -> None:
        munmap(mapping.mm, mapping.address)

    def touch(self, mapping: Mapping, offset: int = 0) -> vm_fault_t:
        """Read or write a byte of a mapping; returns 0 or the signal that it ended in."""
        return access(mapping.mm, mapping.address + offset)

    def write_command(self, vdev: VfioPciDevice, *, memory: bool) -> None:
        """Write PCI_COMMAND through config space."""
        vfio_basic_config_write(vdev, PCI_COMMAND_MEMORY if memory else 0)
        return_to_user_space()

    def map_dma(self, container: VfioIommu, mapping: Mapping) -> Errno:
        """Let devices of a container reach a mapping, at the same addresses: VFIO_IOMMU_MAP_DMA."""
        dma_map = DmaMap(vaddr=mapping.address, iova=mapping.address, size=mapping.size)
        return vfio_dma_do_map(container, mapping.mm, dma_map)

    # ---- what rules look at

    def leaves_of(self, vdev: VfioPciDevice) -> Iterator[Leaf]:
        """Every leaf, in any process, that maps a page of the device."""
        for mm in self.machine.mms if self.machine is not None else ():
            for leaf in leaves_of(mm):
                if vdev.shows(leaf.pfn, 1 << leaf.order):
                    yield leaf

    # ---- how a trace names places

    def site_of(self, frames: list[FrameType]) -> str:
        """The line of the design where there is one, else the line of the kernel."""
        inside = _inside_kernel(frames)
        for frame in inside:
            if frame.f_code.co_filename in self._files:
                return self.place(frame)
        for frame in inside:
            if _module(frame) not in PLUMBING:
                return self.place(frame)
        return self.place(frames[0]) if frames else ""

    def place(self, frame: FrameType) -> str:
        """kernel/fault.py:31 for the model, the bare file name for designs and scenarios."""
        place = super().place(frame)
        return f"kernel/{place}" if _module(frame).startswith("pfnlab.kernel") else place

    def worth_showing(self, frames: list[FrameType]) -> list[FrameType]:
        """Kernel functions and hooks of the design; not user space, not the scenario."""
        return [frame for frame in _inside_kernel(frames) if _module(frame) not in CHECKS]


USER_SPACE = ("pfnlab.kernel.lab", "pfnlab.kernel.cpu")
CHECKS = ("pfnlab.kernel.lockdep",)
# Whose lines tell a reader nothing: the line that calls them is shown.
PLUMBING = ("pfnlab.kernel.locks", "pfnlab.kernel.pagetable", *CHECKS)


def _inside_kernel(frames: list[FrameType]) -> list[FrameType]:
    """The frames below user space, innermost first; a scenario is user space."""
    for place, frame in enumerate(frames):
        if _module(frame) in USER_SPACE:
            # An access of the CPU is a step of its own.
            return frames[:place] if any(map(_is_kernel, frames[:place])) else frames[: place + 1]
    return frames


def _is_kernel(frame: FrameType) -> bool:
    return _module(frame) not in PLUMBING


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
