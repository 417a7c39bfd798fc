"""An execution that makes every step at once and counts: nobody else is there to wait for.

The designs and the kernel model are the ones that are checked.  What is counted is what the
engine sees of them: operations, by what they are called and how they end.
"""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from pfnlab.engine import operation as op_
from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import Execution
from pfnlab.engine.fire import fire, plain, ready
from pfnlab.engine.operation import Operation
from pfnlab.engine.program import Rule
from pfnlab.kernel.design import Design
from pfnlab.kernel.fault_codes import VM_FAULT_ERROR, VM_FAULT_FALLBACK, VM_FAULT_RETRY, vm_fault_t
from pfnlab.kernel.geometry import PAGE_SIZE, PTE_ORDER, Order, align_down
from pfnlab.kernel.lab import Lab
from pfnlab.kernel.memtype import MemtypeStore
from pfnlab.kernel.pagetable import Leaf, Slot, Walk
from pfnlab.kernel.profile import Kernel
from pfnlab.kernel.vmfault import VmFault

Refusal = tuple[int, int, int]  # a FALLBACK: the level, the slot, the start of the VMA
TRIES = 100_000  # of one workload; more is a loop that does not end
READS = 100_000  # with no step between them; the same

# A writer of a fair lock queues, and has it at once if it is free.
LOCKS = {
    op_.LOCK: "", op_.TRYLOCK: "", op_.DOWN_READ: " read", op_.DOWN_READ_TRYLOCK: " read",
    op_.QUEUE_WRITE: " write", op_.DOWN_WRITE: " write", op_.DOWN_WRITE_TRYLOCK: " write",
}  # fmt: skip


class CountingLab(Lab):
    """A lab without rules and checks: they hold or not, which other commands tell."""

    def __init__(self, design: Design, kernel: Kernel, counts: Counter[str]) -> None:
        self.refused: set[Refusal] = set()
        super().__init__(counted(design, counts, self.refused), kernel)
        self.monitors.clear()

    def enforces(self, rule: Rule) -> bool:
        return False


def counted(design: Design, counts: Counter[str], refused: set[Refusal]) -> Design:
    """A design whose fault handlers count their calls, and note what they refuse."""
    ops = design.vm_ops
    fault, huge_fault = ops.fault, ops.huge_fault

    def count(vmf: VmFault, order: Order, result: vm_fault_t) -> vm_fault_t:
        counts[f"calls {order.entry}"] += 1
        if isinstance(result, vm_fault_t):
            if result & VM_FAULT_FALLBACK:
                counts[f"fallbacks {order.entry}"] += 1
                slot = align_down(vmf.address, PAGE_SIZE << order)
                refused.add((order.level, slot, vmf.vma.vm_start))
            elif not result & (VM_FAULT_ERROR | VM_FAULT_RETRY):
                # What getrusage() counts: faults that were resolved, also by the kernel.
                counts["resolved"] += 1
                counts[f"resolved {order.entry}"] += 1
        return result

    def counted_fault(vmf: VmFault) -> vm_fault_t:
        assert fault is not None
        return count(vmf, PTE_ORDER, fault(vmf))

    def counted_huge_fault(vmf: VmFault, order: Order) -> vm_fault_t:
        assert huge_fault is not None
        return count(vmf, order, huge_fault(vmf, order))

    return replace(
        design,
        vm_ops=replace(
            ops,
            fault=None if fault is None else counted_fault,
            huge_fault=None if huge_fault is None else counted_huge_fault,
        ),
    )


class Counting(Execution):
    """Runs a workload as the setup of a program without tasks."""

    def __init__(self, lab: CountingLab, build: Callable[[Any], None], counts: Counter[str]):
        self.counts = counts
        self.tries = 0
        self.reads = 0
        self.copied: Leaf | None = None
        super().__init__(lab, build)

    def immediately(self, op: Operation) -> Any:
        code = op.code
        if code in (op_.PLAIN_READ, op_.PEEK):
            self.reads += 1
            if self.reads > READS:
                raise ModelError("the design reads for ever: see pfnlab check")
            if op.target is not None and op.target.field == HELD:
                self.counts["memtype looks"] += 1
            return self.store.values[op.number]
        if code == op_.MONITOR:
            return None
        if op.plain:
            return plain(self.store, op, -1)
        self.reads = 0
        if code == op_.RETRY:
            self.tries += 1
            if self.tries > TRIES:
                raise ModelError("the design tries again for ever: see pfnlab check")
            return None
        if not ready(self.store, op, -1):
            raise ModelError(f"the design waits in {op.verb}: nobody else is there to wake it")
        result = fire(self.store, op, -1, 0)
        if code in LOCKS:
            taken = bool(result)  # not by a trylock that failed, or a writer that only queued
            self.counts["locks"] += taken
            self.counts[f"lock {op.target.lock_class}{LOCKS[code]}"] += taken
        elif code == op_.ATOMIC:
            count = COUNTERS.get(op.verb)
            if count is not None:
                count(self.counts, op, result)
            elif op.verb == "copy":
                self.copy(result)
        return result

    def copy(self, leaves: tuple[Leaf, ...]) -> None:
        """fork() goes by PMD, so that a PUD leaf is in many steps, one after the other."""
        for leaf in leaves:
            if leaf != self.copied:
                self.counts[f"copied {leaf.order.entry}"] += 1
            self.copied = leaf


HELD = MemtypeStore.held.place  # read by every lookup and by every reservation
Count = Callable[[Counter[str], Operation, Any], None]


def access(counts: Counter[str], _op: Operation, found: Any) -> None:
    counts["faults"] += found.leaf is None


def set_leaf(counts: Counter[str], op: Operation, taken: Slot) -> None:
    counts[f"installed {op.verb.removeprefix('set_')}"] += taken is None


def set_ptes(counts: Counter[str], op: Operation, _taken: Leaf | None) -> None:
    counts["installed pte"] += len(op.cells) - 2  # the first two are the tables above


def zap(counts: Counter[str], _op: Operation, cleared: tuple[Leaf, ...]) -> None:
    for leaf in cleared:
        counts[f"cleared {leaf.order.entry}"] += 1


def follow(counts: Counter[str], _op: Operation, found: Walk) -> None:
    counts["follow"] += 1
    counts["follow found"] += found.leaf is not None


def flush(counts: Counter[str], _op: Operation, _result: Any) -> None:
    counts["tlb flushes"] += 1


def memtype(counts: Counter[str], op: Operation, _result: Any) -> None:
    counts[op.verb] += 1


def iommu(counts: Counter[str], op: Operation, _result: Any) -> None:
    counts[op.verb] += 1
    counts[f"{op.verb} pages"] += len(op.cells)


COUNTERS: dict[str, Count] = {
    "access": access, "set_pte": set_leaf, "set_pmd": set_leaf, "set_pud": set_leaf,
    "set_ptes": set_ptes, "zap": zap, "follow_pfnmap": follow, "flush": flush,
    "memtype_reserve": memtype, "memtype_free": memtype, "iommu_map": iommu, "iommu_unmap": iommu,
}  # fmt: skip
