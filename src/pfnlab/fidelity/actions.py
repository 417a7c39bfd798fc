"""What a traced thread does: system calls, and accesses of the CPU."""

from dataclasses import dataclass, field

PAGE = 4096


@dataclass(frozen=True)
class Mmap:
    """mmap() of the device: addresses in bytes, and the offset in the BAR."""

    start: int
    end: int
    offset: int = 0


@dataclass(frozen=True)
class Munmap:
    """`mark` is what the program has said before; "" if nothing."""

    start: int
    end: int
    mark: str = ""


@dataclass(frozen=True)
class Fault:
    """An access that found no leaf.  `again`: the next thing is a fault on this page, too."""

    address: int
    again: bool = False
    mark: str = ""


@dataclass(frozen=True)
class Access:
    """An access that needed no fault."""

    address: int
    mark: str


@dataclass(frozen=True)
class Command:
    """COMMAND.MEM is written."""

    memory: bool


@dataclass(frozen=True)
class Fork:
    """`locked`: the trace has the mmap_locks that it takes."""

    child: int
    locked: bool = False


@dataclass(frozen=True)
class Clone:
    """Another thread of the same process."""

    child: int


@dataclass(frozen=True)
class Exit:
    """The process ends."""


@dataclass(frozen=True)
class Close:
    """The device file is closed; without a mark it is seen as it is released."""

    mark: str = ""


@dataclass(frozen=True)
class MmapLock:
    """A call that takes mmap_lock and has nothing to do with the device, by its modes."""

    modes: tuple[str, ...]


Action = Mmap | Munmap | Fault | Access | Command | Fork | Clone | Exit | Close | MmapLock


@dataclass
class Thread:
    """One traced thread; `parent` is 0 for the first one.

    begins  what made it: a Fork gave it an address space of its own
    """

    tid: int
    parent: int = 0
    begins: Fork | Clone | None = None
    actions: list[Action] = field(default_factory=list)
