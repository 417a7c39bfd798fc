"""The lab: devices, processes and tasks, as a scenario sets them up."""

from collections.abc import Iterable, Iterator
from types import FrameType

from pfnlab.engine.program import Invariant
from pfnlab.kernel.design import Design
from pfnlab.kernel.lab_devices import DeviceLab
from pfnlab.kernel.lockdep import Lockdep
from pfnlab.kernel.pagetable import Leaf, leaves_of
from pfnlab.kernel.profile import Kernel, find_kernel
from pfnlab.kernel.rule import LeafRule
from pfnlab.kernel.tlb import Translation, translations_of
from pfnlab.kernel.vfio import VfioPciDevice


class Lab(DeviceLab):
    """One scenario on one design.

    Everything a scenario may do is a method here.  Methods that a task calls make
    steps; called outside of a task they set the first state up.
    """

    def __init__(self, design: Design, kernel: Kernel | None = None) -> None:
        super().__init__(design)
        self.kernel = kernel or find_kernel(design.kernel)
        self.leaf_rules: list[LeafRule] = []
        self.monitors.append(Lockdep())
        self._files = design.files()

    # ---- setting up

    def always(self, *rules: Invariant | LeafRule) -> None:
        """Rules that must hold after every step, or for every leaf."""
        for rule in rules:
            if isinstance(rule, LeafRule):
                self.leaf_rules.append(rule)
            else:
                super().always(rule)

    @property
    def is_stateless(self) -> bool:
        """Rules of a lab are about devices."""
        return super().is_stateless and not self.leaf_rules and bool(self.devices)

    # ---- what rules look at

    def leaves_of(self, vdev: VfioPciDevice) -> Iterator[Leaf]:
        """Every leaf, in any process, that maps a page of the device.

        An mm without users is left out: no thread runs in it, so nobody can use a leaf
        that exit_mmap() has yet to zap.
        """
        for mm in self.machine.mms if self.machine is not None else ():
            for leaf in leaves_of(mm) if mm.mm_users else ():
                if vdev.shows(leaf.pfn, 1 << leaf.order):
                    yield leaf

    def translations_of(self, vdev: VfioPciDevice) -> Iterator[Translation]:
        """Every page of the device that a CPU has cached, in any mm that has users."""
        for mm in self.machine.mms if self.machine is not None else ():
            for cached in translations_of(mm) if mm.mm_users else ():
                if vdev.shows(cached.leaf.pfn, 1 << cached.leaf.order):
                    yield cached

    def is_judged(self, frames: Iterable[FrameType]) -> bool:
        return any(frame.f_code.co_filename in self._files for frame in frames)

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


USER_SPACE = ("pfnlab.kernel.lab_memory", "pfnlab.kernel.lab_devices", "pfnlab.kernel.cpu")
CHECKS = ("pfnlab.kernel.lockdep",)
# Whose lines tell a reader nothing: the line that calls them is shown.
PLUMBING = (
    "pfnlab.kernel.locks",
    "pfnlab.kernel.mmu_gather",
    "pfnlab.kernel.pagetable",
    "pfnlab.kernel.refcount",
    "pfnlab.kernel.tlb",
    "pfnlab.kernel.vma_lock",
    *CHECKS,
)


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
