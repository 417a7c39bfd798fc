"""The workloads on which model and kernel are compared."""

from dataclasses import dataclass
from typing import get_args

from pfnlab.cost.words import make_workload
from pfnlab.kernel.geometry import GiB, MiB
from pfnlab.workload import Advice, Bar, Place, ThpPolicy, Window, Workload

SWEEP = "first,touch,off,first,on,first,touch,munmap"
DMA_AFTER = {"": "fresh", "first,": "touched", "touch,": "swept", "off,": "off",
             "first,off,on,": "off and on"}  # fmt: skip
SMALL, LARGE = 64 * MiB, 4 * GiB


@dataclass(frozen=True)
class Case:
    """A workload, and the policy for huge pages under which it is done."""

    name: str
    workload: Workload
    thp: ThpPolicy = "always"

    @property
    def bar_size(self) -> int:
        return self.workload.bar.size


def case(
    name: str,
    words: str,
    size: int = SMALL,
    place: Place = "1g",
    advice: Advice = "",
    thp: ThpPolicy = "always",
    offset: int = 0,
) -> Case:
    """One window over a BAR from `offset` on; where both are is found out by who maps them."""
    window = Window(size - offset, offset, advice=advice, place=place)
    return Case(name, make_workload(Bar(size), window, words), thp)


def cases() -> tuple[Case, ...]:
    """Those that are compared if nothing else is asked for, the small BAR first."""
    found = [case(f"sweep, place {place}", SWEEP, place=place) for place in get_args(Place)]
    found += [
        case("middle first", "middle,touch"),
        case("from an odd page on", "first,touch", offset=4096),
        case("fork", "touch,fork,child,munmap"),
        case("mremap", "touch,mremap,touch,munmap"),
        case("mremap, place 4k", "touch,mremap,touch,munmap", place="4k"),
        case("one page of 2 MiB each", "every-2M,off,on,random"),
    ]
    found += [
        case(f"MAP_DMA, {state}", f"{before}map_dma", place="2m")
        for before, state in DMA_AFTER.items()
    ]
    found += [case("MAP_DMA, place 4k", "map_dma,unmap_dma,touch", place="4k")]
    found += [
        case("MADV_NOHUGEPAGE", "first,touch", advice="nohugepage"),
        case("THP madvise", "first,touch", thp="madvise"),
        case("THP madvise, MADV_HUGEPAGE", "first,touch", advice="hugepage", thp="madvise"),
        case("THP never", "first,touch", thp="never"),
    ]
    found += [
        case("4 GiB", "first,every-2M,off,first,on,every-2M,munmap", LARGE),
        case("4 GiB, place 2m", "first,every-2M,munmap", LARGE, place="2m"),
        case("4 GiB, fork", "every-1G,fork,child", LARGE),
        case("4 GiB, MAP_DMA", "map_dma,unmap_dma", LARGE),
    ]
    return tuple(found)
