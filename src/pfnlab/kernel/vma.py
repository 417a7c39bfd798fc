"""struct vm_area_struct, mm_struct and address_space.

Drawn after include/linux/mm_types.h and include/linux/mm.h.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pfnlab.engine.current import running_task
from pfnlab.engine.errors import ModelError
from pfnlab.engine.field import field
from pfnlab.engine.lists import shared_list
from pfnlab.engine.rwsem import RwSemaphore, rw_semaphore
from pfnlab.engine.shared import Shared, cell_of
from pfnlab.engine.step import peek, violate
from pfnlab.engine.word import word, words
from pfnlab.kernel.fault_codes import vm_fault_t
from pfnlab.kernel.geometry import PAGE_SHIFT, Order
from pfnlab.kernel.profile import running_kernel
from pfnlab.kernel.rule import contract
from pfnlab.kernel.vma_lock import (
    VmaLock,
    mmap_rw_semaphore,
    vma_end_read,
    vma_start_read,
    vma_start_write,
)

T = TypeVar("T")

VM_READ, VM_WRITE, VM_EXEC, VM_SHARED = 0x1, 0x2, 0x4, 0x8
VM_PFNMAP = 0x400
VM_IO = 0x4000
VM_DONTCOPY = 0x20000
VM_DONTEXPAND = 0x40000
VM_DONTDUMP = 0x4000000
VM_MIXEDMAP = 0x10000000
VM_PAT = 0x1000000  # x86: VM_ARCH_1
VM_HUGEPAGE = 0x20000000
VM_NOHUGEPAGE = 0x40000000
VM_ACCESS_FLAGS = VM_READ | VM_WRITE | VM_EXEC
# Such a VMA is never merged with a neighbour (R23).
VM_SPECIAL = VM_IO | VM_DONTEXPAND | VM_PFNMAP | VM_MIXEDMAP

FLAG_NAMES = {
    value: name for name, value in list(globals().items())
    if name.startswith("VM_") and value.bit_count() == 1
}  # fmt: skip


def show_flags(flags: int) -> str:
    return " | ".join(name for value, name in FLAG_NAMES.items() if flags & value) or "0"


MMAP_ASSERT_WRITE_LOCKED = contract(
    "R3",
    "mmap_assert_write_locked",
    "vm_flags may change only with mmap_lock held for write.",
    "include/linux/mm.h: vm_flags_set(); bc292ab00f6c "
    '("mm: introduce vma->vm_flags wrapper functions"), v6.3',
)


VMA_WRITTEN_UNDER_LOCKS = contract(
    "R2",
    "vma_written_under_its_locks",
    "A VMA that can be found changes only with mmap_lock and its own lock held for write; its "
    "range and offset only with the rmap lock held for write as well.",
    "Documentation/mm/process_addrs.rst, v6.14",
)


class vma_field(field[T]):
    """A field of a VMA.  Before the VMA is in a tree or in i_mmap nobody else knows it."""

    def __init__(self, default: T, *, rmap: bool = False) -> None:
        super().__init__(default, guarded_by="mmap_lock", traced=False)
        self.rmap = rmap  # whether who walks i_mmap reads it

    def __set__(self, owner: Shared, value: T) -> None:
        if owner._ready:
            assert isinstance(owner, Vma)
            assert_vma_may_change(owner, self.attribute, self.rmap)
        super().__set__(owner, value)


@dataclass(frozen=True)
class VmOperations:
    """struct vm_operations_struct.

    open(vma), close(vma): mmap_lock held for write; close in munmap for read.
    fault(vmf), huge_fault(vmf, order): mmap_lock held for read, and still held on return,
    unless the handler returns VM_FAULT_RETRY or VM_FAULT_COMPLETED.  With
    FAULT_FLAG_VMA_LOCK in vmf.flags that lock is the VMA's instead; huge_fault must be
    ready for it, and fault only if the driver has map_pages.
    """

    fault: Callable[[Any], vm_fault_t] | None = None
    huge_fault: Callable[[Any, Order], vm_fault_t] | None = None
    open: "Callable[[Vma], None] | None" = None
    close: "Callable[[Vma], None] | None" = None
    map_pages: bool = False  # whether the driver has one; it is not called


class AddressSpace(Shared):
    """Who maps a file: unmap_mapping_range() finds VMAs through it."""

    i_mmap_rwsem = rw_semaphore()
    i_mmap = shared_list(guarded_by="i_mmap_rwsem")

    def __init__(self, name: str) -> None:
        self.name = name


class Mm(Shared, freeable=True):
    """An address space of a process."""

    mm_users = word(1)  # who may use the VMAs and leaves: threads, and mmget()
    mm_count = word(1)  # who keeps the struct: all users together are one
    mmap_lock = mmap_rw_semaphore(fair=True)
    vmas = shared_list(guarded_by="mmap_lock", rcu=True, traced=False)
    write_locked = field[tuple[VmaLock, ...]]((), guarded_by="mmap_lock", traced=False)
    slots = words()  # the page table: by (order, index), see pagetable.py
    tlbs = words()  # what CPUs have cached of it: by task, see tlb.py
    tlb_flush_pending = word(0)  # zaps that run, see mmu_gather.py
    notifier_subscriptions = shared_list(guarded_by="mmap_lock", traced=False)

    def __init__(self, name: str) -> None:
        self.name = name


class Vma(Shared, freeable=True):
    """A range of an address space that maps part of a file.  Addresses are in bytes."""

    vm_mm = field[Any](None, traced=False)
    vm_start = vma_field(0, rmap=True)
    vm_end = vma_field(0, rmap=True)
    vm_pgoff = vma_field(0, rmap=True)
    vm_page_prot = vma_field("WB")
    vm_private_data = field[Any](None, traced=False)
    vm_file = field[Any](None, traced=False)
    _vm_flags = field(0, guarded_by="mmap_lock", traced=False, text=show_flags)
    vm_ops = field(VmOperations(), traced=False)
    pfnmap_track_ctx = field[Any](None, guarded_by="mmap_lock", traced=False)  # see pat.py
    # Not in the kernel: the page of the device that vm_start stands for, for rules.
    first_pfn = field[int | None](None, traced=False)

    def __init__(
        self, mm: Mm, start: int, end: int, pgoff: int, flags: int, name: str = ""
    ) -> None:
        self.vm_mm = mm
        self.vm_start = start
        self.vm_end = end
        self.vm_pgoff = pgoff
        self._vm_flags = flags
        self.name = name or f"vma {start:x}"
        self.vm_lock = VmaLock(self.name, mm)

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

    def indexed_at(self, address: int) -> bool:
        """Whether the tree has the VMA at an address; an access to the tree, not to the VMA.

        A range changes only while its VMA is locked for write.  So what is seen of it then
        does not matter: a lookup without mmap_lock fails at the lock.
        """
        return bool(peek(self._cells["vm_start"]) <= address < peek(self._cells["vm_end"]))


def vm_flags_set(vma: Vma, flags: int) -> None:
    """Set flags; asserts mmap_lock for write, even if they are set already."""
    mmap_assert_write_locked(vma.vm_mm, f"vm_flags_set(vma, {show_flags(flags)})")
    vma_start_write(vma)
    vma._vm_flags = vma._vm_flags | flags


def vm_flags_clear(vma: Vma, flags: int) -> None:
    mmap_assert_write_locked(vma.vm_mm, f"vm_flags_clear(vma, {show_flags(flags)})")
    vma_start_write(vma)
    vma._vm_flags = vma._vm_flags & ~flags


def vm_flags_reset(vma: Vma, flags: int) -> None:
    """Replace the flags; asserts mmap_lock for write."""
    mmap_assert_write_locked(vma.vm_mm, f"vm_flags_reset(vma, {show_flags(flags)})")
    vma_start_write(vma)
    vma._vm_flags = flags


def __vm_flags_mod(vma: Vma, set_flags: int, clear_flags: int) -> None:
    """Change flags without a check: the way out for those who account for it themselves."""
    vma._vm_flags = (vma._vm_flags | set_flags) & ~clear_flags


def is_cow_mapping(flags: int) -> bool:
    """Private and writable.

    Model: VM_WRITE stands for VM_MAYWRITE.
    """
    return flags & (VM_SHARED | VM_WRITE) == VM_WRITE


def held_for(lock: RwSemaphore) -> str:
    """How the running task holds a semaphore: "read", "write" or ""."""
    hold = running_task().holds(lock)
    return hold.mode if hold is not None else ""


def assert_vma_may_change(vma: Vma, what: str, rmap: bool) -> None:
    """The locks that a write to a field needs, as soon as others can find the VMA.

    Whether they can is looked up past the locks: only who holds mmap_lock for write puts
    a VMA in or takes it out, and who does not may write only to one that is in neither.
    """
    mm: Mm = vma.vm_mm
    mapping: AddressSpace | None = vma.vm_file.mapping if vma.vm_file is not None else None
    linked = mapping is not None and vma in peek(cell_of(mapping, "i_mmap"))
    if not linked and vma not in peek(cell_of(mm, "vmas")):
        return
    needed = [mm.mmap_lock]
    if running_kernel().per_vma_lock:
        needed.append(vma.vm_lock.vm_lock)
    if rmap and linked and mapping is not None:
        needed.append(mapping.i_mmap_rwsem)
    missing = [lock.name for lock in needed if held_for(lock) != "write"]
    if missing:
        violate(
            VMA_WRITTEN_UNDER_LOCKS,
            f"{running_task().name} writes {what} of {vma} without {' and '.join(missing)} "
            "held for write.",
        )


def mmap_assert_write_locked(mm: Mm, what: str = "this") -> None:
    if not running_kernel().vm_flags_asserted:
        return
    task = running_task()
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


def lock_vma_under_rcu(mm: Mm, address: int) -> Vma | None:
    """The VMA that contains an address, locked for read; the caller holds no lock.

    Returns None if there is none, if a writer has it, or if it was moved meanwhile: the
    caller then takes mmap_lock.  Up to the lock the VMA may be freed at any time.

    Model: as up to v6.14.  Since then a VMA may be used again while it is looked up, and
    the lookup tests that it still belongs to the mm.
    """
    while True:
        vmas: tuple[Vma, ...] = mm.vmas.rcu_read()
        vma = next((vma for vma in vmas if vma.indexed_at(address)), None)
        if vma is None or not vma_start_read(vma):
            return None
        if not vma.vm_lock.detached:
            break
        vma_end_read(vma)  # whoever detached it has taken it out of the list by now
    if not vma.contains(address):
        vma_end_read(vma)
        return None
    return vma


def linear_page_index(vma: Vma, address: int) -> int:
    """Page of the file at an address."""
    return vma.vm_pgoff + (address - vma.vm_start >> PAGE_SHIFT)
