"""What is mapped and what is done with it, as plain data.

Cost counts what a workload costs; that a real kernel can be given the same one is the point.
Sizes, offsets and addresses are in bytes.
"""

from dataclasses import dataclass
from typing import Literal

PAGE = 4096

Level = Literal["pte", "pmd", "pud"]
Direction = Literal["forward", "backward", "random"]
Advice = Literal["", "hugepage", "nohugepage"]


@dataclass(frozen=True)
class Bar:
    """A BAR: its size and its physical address, which is naturally aligned if not given."""

    size: int
    address: int | None = None


@dataclass(frozen=True)
class Window:
    """A part of the BAR that one mmap() maps.  `address` is where it is in the process."""

    size: int
    offset: int = 0
    address: int = 0
    advice: Advice = ""

    @property
    def end(self) -> int:
        return self.address + self.size


@dataclass(frozen=True)
class Touch:
    """Access pages of a window, from `start` up to `end`, which count from its beginning.

    every      one page of each "pte" (that is, all), "pmd" or "pud": the first in the range
    direction  "random" stands for an order in which no slot of a table is reached first by
               the first page in it
    in_child   by the process that was forked
    """

    window: int = 0
    start: int = 0
    end: int | None = None
    every: Level = "pte"
    direction: Direction = "forward"
    in_child: bool = False


@dataclass(frozen=True)
class Memory:
    """Write COMMAND: let the device decode memory, or not, which takes every mapping away."""

    on: bool


@dataclass(frozen=True)
class MapDma:
    """VFIO_IOMMU_MAP_DMA of a window."""

    window: int = 0


@dataclass(frozen=True)
class UnmapDma:
    """VFIO_IOMMU_UNMAP_DMA of a window."""

    window: int = 0


@dataclass(frozen=True)
class Fork:
    """fork() of the process that has the windows.  Once in a workload."""


@dataclass(frozen=True)
class Munmap:
    """munmap() of a window."""

    window: int = 0


Action = Touch | Memory | MapDma | UnmapDma | Fork | Munmap


@dataclass(frozen=True)
class Step:
    """Actions that are counted together, under a name.  `times` is how often they are done."""

    name: str
    actions: tuple[Action, ...]
    times: int = 1


@dataclass(frozen=True)
class Workload:
    """Windows of one BAR, mapped in this order, and then the steps."""

    bar: Bar
    windows: tuple[Window, ...]
    steps: tuple[Step, ...] = ()
