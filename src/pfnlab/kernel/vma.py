"""struct vm_area_struct, mm_struct and address_space.

Drawn after include/linux/mm_types.h and include/linux/mm.h.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import running
from pfnlab.engine.field import field
from pfnlab.engine.lists import shared_list
from pfnlab.engine.rwsem import RwSemaphore, rw_semaphore
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import violate
from pfnlab.engine.word import words
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.geometry import PAGE_SHIFT, Order
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.rule import contract

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 0x1, 0x2, 0x4, 0x8
VM_PFNMAP = 0x400
VM_IO = 0x4000
VM_DONTCOPY = 0x20000
VM_DONTEXPAND = 0x40000
VM_DONTDUMP = 0x4000000
VM_MIXEDMAP = 0x10000000
VM_PAT = 0x40000000  # x86: VM_ARCH_1

FLAG_NAMES = {value: name for name, value in list(globals().items()) if name.startswith("VM_")}


def show_flags(flags: int) -> str:
    return " | ".join(name for value, name in FLAG_NAMES.items() if flags & value) or "0"


MMAP_ASSERT_WRITE_LOCKED = contract(
    "R3",
    "mmap_assert_write_locked",
    "vm_flags may change only with mmap_lock held for write.",
    "include/linux/mm.h: vm_flags_set(); bc292ab00f6c "
    '("mm: introduce vma->vm_flags wrapper functions"), v6.3',
)


@dataclass(frozen=True)
class VmOperations:
    """struct vm_operations_struct.

    open(vma), close(vma): mmap_lock held for write; close in munmap for read.
    fault(vmf), huge_fault(vmf, order): mmap_lock held for read, and still held on return,
    unless the handler returns VM_FAULT_RETRY or VM_FAULT_COMPLETED.
    """

    fault: Callable[[Any], vm_fault_t] | None = None
    huge_fault: Callable[[Any, Order], vm_fault_t] | None = None
    open: "Callable[[Vma], None] | None" = None
    close: "Callable[[Vma], None] | None" = None


class AddressSpace(Shared):
    """Who maps a file: unmap_mapping_range() finds VMAs through it."""

    i_mmap_rwsem = rw_semaphore()
    i_mmap = shared_list(guarded_by="i_mmap_rwsem")

    def __init__(self, name: str) -> None:
        self.name = name


class Mm(Shared):
    """An address space of a process."""

    mmap_lock = rw_semaphore(fair=True)
    vmas = shared_list(guarded_by="mmap_lock", traced=False)
    slots = words()  # the page table: by (order, index), see pagetable.py

    def __init__(self, name: str) -> None:
        self.name = name


class Vma(Shared, freeable=True):
    """A range of an address space that maps part of a file.  Addresses are in bytes."""

    vm_mm = field[Any](None, traced=False)
    vm_start = field(0, guarded_by="mmap_lock", traced=False)
    vm_end = field(0, guarded_by="mmap_lock", traced=False)
    vm_pgoff = field(0, guarded_by="mmap_lock", traced=False)
    vm_page_prot = field("WB", guarded_by="mmap_lock", traced=False)
    vm_private_data = field[Any](None, traced=False)
    vm_file = field[Any](None, traced=False)
    _vm_flags = field(0, guarded_by="mmap_lock", traced=False, text=show_flags)
    vm_ops = field(VmOperations(), traced=False)
    # Not in the kernel: the page of the device that vm_start stands for, for rules.
    first_pfn = field[int | None](None, traced=False)

    def __init__(self, mm: Mm, start: int, end: int, pgoff: int, flags: int) -> None:
        self.vm_mm = mm
        self.vm_start = start
        self.vm_end = end
        self.vm_pgoff = pgoff
        self._vm_flags = flags
        self.name = f"vma {start:x}"

    @property
    def size(self) -> int:
        """Bytes."""
        return self.vm_end - self.vm_start

    @property
    def vm_flags(self) -> int:
        flags: int = self._vm_flags
        return flags

    @vm_flags.setter
    def vm_flags(self, _flags: int) -> None:
        raise ModelError("vma.vm_flags is read-only; call vm_flags_set(vma, flags)")

    def contains(self, address: int) -> bool:
        return self.vm_start <= address < self.vm_end


def vm_flags_init(vma: Vma, flags: int) -> None:
    """Set the flags of a VMA that nobody else can see yet."""
    vma._vm_flags = flags


def vm_flags_set(vma: Vma, flags: int) -> None:
    """Set flags; asserts mmap_lock for write, even if they are set already."""
    mmap_assert_write_locked(vma.vm_mm, f"vm_flags_set(vma, {show_flags(flags)})")
    vma._vm_flags = vma._vm_flags | flags


def vm_flags_clear(vma: Vma, flags: int) -> None:
    mmap_assert_write_locked(vma.vm_mm, f"vm_flags_clear(vma, {show_flags(flags)})")
    vma._vm_flags = vma._vm_flags & ~flags


def __vm_flags_mod(vma: Vma, set_flags: int, clear_flags: int) -> None:
    """Change flags without a check: the way out for those who account for it themselves."""
    vma._vm_flags = (vma._vm_flags | set_flags) & ~clear_flags


def held_for(lock: RwSemaphore) -> str:
    """How the running task holds a semaphore: "read", "write" or ""."""
    hold = running()[1].holds(lock)
    return hold.mode if hold is not None else ""


def mmap_assert_write_locked(mm: Mm, what: str = "this") -> None:
    if not running_kernel().vm_flags_asserted:
        return
    _execution, task = running()
    hold = task.holds(mm.mmap_lock)
    if hold is not None and hold.mode == "write":
        return
    has = f"holds it for read since step {hold.step}" if hold is not None else "does not hold it"
    violate(
        MMAP_ASSERT_WRITE_LOCKED,
        f"{task.name} {has}.",
        sentence=f"{what} needs {mm.name}.mmap_lock held for write.",
        call=what,
    )


def find_vma(mm: Mm, address: int) -> Vma | None:
    """The VMA that contains an address.  The caller holds mmap_lock.

    Model: vma_lookup() in later kernels; an address below a VMA is never taken for it.
    """
    for vma in mm.vmas:
        if vma.contains(address):
            found: Vma = vma
            return found
    return None


def linear_page_index(vma: Vma, address: int) -> int:
    """Page of the file at an address."""
    return vma.vm_pgoff + (address - vma.vm_start >> PAGE_SHIFT)
