"""What a scenario may do with memory: processes, and the system calls on mappings."""

from typing import NamedTuple

from pfnlab.engine.access import atomically
from pfnlab.engine.current import running_task, setting_up
from pfnlab.engine.errors import ModelError
from pfnlab.engine.program import Program
from pfnlab.engine.shared import Shared
from pfnlab.engine.step import violate
from pfnlab.engine.word import word
from pfnlab.kernel.cpu import access
from pfnlab.kernel.errno import Errno, show_errno
from pfnlab.kernel.fault_codes import VM_FAULT_ERROR, show_fault, vm_fault_t
from pfnlab.kernel.fault_rules import ENABLED_MEMORY_IS_REACHED
from pfnlab.kernel.file import fput
from pfnlab.kernel.fork import dup_mmap
from pfnlab.kernel.futex import futex_wake_op
from pfnlab.kernel.geometry import PAGE_SHIFT, PAGE_SIZE, GiB, TiB
from pfnlab.kernel.gup import fault_in_nowait
from pfnlab.kernel.locks import return_to_user_space
from pfnlab.kernel.madvise import madvise
from pfnlab.kernel.mm_life import mmget, mmput
from pfnlab.kernel.mmap import mmap_region
from pfnlab.kernel.mprotect import mprotect
from pfnlab.kernel.mremap import MREMAP_DONTUNMAP, MREMAP_FIXED, MREMAP_MAYMOVE, mremap
from pfnlab.kernel.munmap import munmap
from pfnlab.kernel.vfio import VFIO_PCI_INDEX_TO_OFFSET, VfioPciDevice
from pfnlab.kernel.vma import Mm
from pfnlab.workload import ThpPolicy

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


class MemoryLab(Program):
    """The part of a Lab that has processes and their mappings.

    Methods that a task calls make steps; called outside of a task they set the first
    state up.
    """

    def __init__(self) -> None:
        super().__init__()
        self.machine: Machine | None = None
        self.thp: ThpPolicy = "always"  # /sys/kernel/mm/transparent_hugepage/enabled
        self.thp_disabled = False  # by prctl(PR_SET_THP_DISABLE), for every process
        self._mapped = 0  # mappings made while setting up
        self._processes = 1

    def process(self) -> Mm:
        """Another process than the first one, which is there anyway."""
        self.first_process()
        self._processes += 1
        return self._add_process(f"mm{self._processes}")

    def first_process(self) -> Mm:
        """The process of every mapping that names no other."""
        if self.machine is None:
            if not setting_up():
                raise ModelError(
                    "a task maps memory, and the scenario has made no process: call "
                    "lab.first_process() before the tasks begin"
                )
            self.machine = Machine()
            self._first = self._add_process("mm")
        return self._first

    def _add_process(self, name: str) -> Mm:
        assert self.machine is not None
        mm = Mm(name)
        cell = Machine.mms.cell(self.machine)
        atomically((cell,), "fork", lambda old: (((*old[0], mm),), None), detail=lambda _: name)
        return mm

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
        if vma is None and setting_up():
            raise ModelError(f"mmap of BAR {bar}, offset {offset:#x}: {show_errno(error)}")
        return Mapping(mm, start, length, error)

    def _free_address(self, offset: int) -> int:
        """Congruent to the offset in the BAR at every level, and far from the others."""
        task = running_task()
        if task.index < 0:
            self._mapped += 1
            return MMAP_BASE + (self._mapped - 1) * GiB + offset
        return MMAP_BASE - (task.index + 1) * TiB + task.created * GiB + offset

    def fork(self, mm: Mm | None = None) -> Mm:
        """fork(): returns the child's mm; Mapping.of() tells where a mapping is there."""
        parent = mm or self.first_process()
        task = running_task()
        child = self._add_process(f"child{task.created or ''}")
        dup_mmap(child, parent)
        return child

    def futex_wake_op(self, mapping: Mapping) -> Errno:
        """A futex operation on the first word of a mapping."""
        return futex_wake_op(mapping.mm, mapping.address)

    def exit(self, mm: Mm | None = None) -> None:
        """A thread of a process ends; the last one takes the address space with it.

        A process has one thread, and more by thread(): a task that works in a process
        which another task ends needs it.  The fds stay open: close().
        """
        mmput(mm or self.first_process())
        return_to_user_space()

    def thread(self, mm: Mm | None = None) -> None:
        """Another thread of a process, for a task that works beside one that exits."""
        mmget(mm or self.first_process())

    def close(self, vdev: VfioPciDevice) -> None:
        """Close the fd of a device.  Mappings keep the file open."""
        fput(vdev.file)
        return_to_user_space()

    # ---- the calls on a mapping; `offset` and `size` name a part of it, in bytes

    def munmap(self, mapping: Mapping, offset: int = 0, size: int | None = None) -> Errno:
        start, length = self._part(mapping, offset, size)
        return munmap(mapping.mm, start, length)

    def mprotect(
        self, mapping: Mapping, prot: int, offset: int = 0, size: int | None = None
    ) -> Errno:
        """PROT_NONE, or PROT_READ and PROT_WRITE or'ed."""
        start, length = self._part(mapping, offset, size)
        return mprotect(mapping.mm, start, length, prot)

    def madvise(
        self, mapping: Mapping, advice: int, offset: int = 0, size: int | None = None
    ) -> Errno:
        """One of MADV_..."""
        start, length = self._part(mapping, offset, size)
        return madvise(mapping.mm, start, length, advice)

    def mremap(
        self,
        mapping: Mapping,
        *,
        new_size: int | None = None,
        new_address: int | None = None,
        dontunmap: bool = False,
    ) -> Mapping:
        """Resize a mapping, or move it to an address; an error is in the result."""
        flags = 0
        if new_address is not None:
            flags = MREMAP_MAYMOVE | (MREMAP_DONTUNMAP if dontunmap else MREMAP_FIXED)
        size = mapping.size if new_size is None else new_size
        address = mremap(
            mapping.mm, mapping.address, mapping.size, size, flags, new_address or 0
        )  # fmt: skip
        if address < 0:
            return mapping._replace(error=address)
        return mapping._replace(address=address, size=size)

    def _part(self, mapping: Mapping, offset: int, size: int | None) -> tuple[int, int]:
        if offset < 0 or offset % PAGE_SIZE:
            raise ModelError(f"offset {offset:#x} of a mapping is no multiple of 4 KiB")
        return mapping.address + offset, mapping.size - offset if size is None else size

    def touch(self, mapping: Mapping, offset: int = 0) -> vm_fault_t:
        """Read or write a byte of a mapping; returns 0 or the signal that it ended in."""
        return access(mapping.mm, mapping.address + offset)

    def touch_enabled(self, mapping: Mapping, offset: int = 0) -> None:
        """Touch memory that no task takes away meanwhile: a signal breaks a rule.

        Whether somebody does is for the scenario to know: a task that looked would order itself
        among those that switch memory off, and hide what it looks for.
        """
        signal = self.touch(mapping, offset)
        if signal & VM_FAULT_ERROR:
            address = mapping.address + offset
            violate(
                ENABLED_MEMORY_IS_REACHED,
                f"{show_fault(signal)} at {address:x}, with memory enabled and mapped.",
                call=f"touch({address:x})",
            )

    def fault_nowait(self, mapping: Mapping, offset: int = 0) -> Errno:
        """The kernel faults a page in and will not wait; see gup.fault_in_nowait()."""
        error = fault_in_nowait(mapping.mm, mapping.address + offset)
        return_to_user_space()
        return error
