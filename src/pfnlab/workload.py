"""What is mapped and what is done with it, as plain data.

Cost counts what a workload costs, and host/ gives the same one to a real kernel.
Sizes, offsets and addresses are in bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

PAGE = 4096

Level = Literal["pte", "pmd", "pud"]
Direction = Literal["forward", "backward", "random"]
Advice = Literal["", "hugepage", "nohugepage"]
Place = Literal["natural", "1g", "2m", "4k"]
ThpPolicy = Literal["always", "madvise", "never"]


@dataclass(frozen=True)
class Bar:
    """A BAR: its size and its physical address, which is naturally aligned if not given."""

    size: int
    address: int | None = None


@dataclass(frozen=True)
class Window:
    """A part of the BAR that one mmap() maps.

    address  where it is in the process; 0 if that is found out when it is mapped
    place    where a real kernel maps it then: "natural" is where mmap() puts it; "1g" where
             address and physical address agree modulo 1 GiB; "2m" where they agree modulo
             2 MiB and not modulo 1 GiB; "4k" where they do not agree modulo 2 MiB
    """

    size: int
    offset: int = 0
    address: int = 0
    advice: Advice = ""
    place: Place = "1g"

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


@dataclass(frozen=True)
class Mremap:
    """mremap() of a whole window to an address.

    0 stands for one that a real kernel has free, and that agrees with the old one modulo 1 GiB.
    """

    window: int = 0
    address: int = 0


Action = Touch | Memory | MapDma | UnmapDma | Fork | Munmap | Mremap
ACTIONS: Mapping[str, type[Action]] = {
    kind.__name__: kind for kind in (Touch, Memory, MapDma, UnmapDma, Fork, Munmap, Mremap)
}


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


def to_data(workload: Workload) -> dict[str, Any]:
    """As JSON can hold it."""
    return {
        "bar": _plain(workload.bar),
        "windows": [_plain(window) for window in workload.windows],
        "steps": [
            {
                "name": step.name,
                "times": step.times,
                "actions": [{"do": type(a).__name__, **_plain(a)} for a in step.actions],
            }
            for step in workload.steps
        ],
    }


def from_data(data: Mapping[str, Any]) -> Workload:
    """The opposite of to_data(); raises KeyError or TypeError for anything else."""
    steps = tuple(
        Step(
            step["name"],
            tuple(
                ACTIONS[action["do"]](**{name: action[name] for name in action if name != "do"})
                for action in step["actions"]
            ),
            step["times"],
        )
        for step in data["steps"]
    )
    return Workload(Bar(**data["bar"]), tuple(Window(**w) for w in data["windows"]), steps)


def _plain(part: Any) -> dict[str, Any]:
    return {field.name: getattr(part, field.name) for field in fields(part)}
