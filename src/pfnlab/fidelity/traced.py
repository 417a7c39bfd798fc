"""A design and a lab that log what a tracer sees of a real kernel."""

from collections.abc import Callable
from dataclasses import replace
from types import FrameType

from pfnlab.engine.program import Rule
from pfnlab.fidelity.probe import Log, log, result_name
from pfnlab.kernel.design import Design
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.geometry import Order
from pfnlab.kernel.lab import Lab
from pfnlab.kernel.profile import Kernel
from pfnlab.kernel.vfio import VfioPciDevice
from pfnlab.kernel.vma import Vma
from pfnlab.kernel.vmfault import VmFault


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
