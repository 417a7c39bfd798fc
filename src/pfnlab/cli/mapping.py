"""Options that cost and explain share: what is mapped, where, and on which kernel."""

from dataclasses import dataclass
from typing import Annotated, Literal

import typer

from pfnlab.catalogue import design_of, find_design
from pfnlab.cost.request import make_bar, place_window
from pfnlab.cost.simulate import Setting
from pfnlab.cost.words import parse_size
from pfnlab.kernel.profile import Kernel, find_kernel
from pfnlab.workload import Advice, Bar, ThpPolicy, Window

Size = Annotated[str, typer.Option(help="Of the mapping, as 128G.")]
Offset = Annotated[str, typer.Option(help="Where it begins in the BAR.")]
Vma = Annotated[
    str, typer.Option(help="Its address; `best`; or `natural`, where mmap(NULL) would put it.")
]
BarSize = Annotated[str | None, typer.Option(help="By default the next power of two.")]
BarAddress = Annotated[
    str | None, typer.Option(help="Physical address of the BAR; by default an aligned one.")
]
KernelName = Annotated[
    str | None, typer.Option(help="A kernel profile, as v6.12; by default the design's own.")
]


@dataclass(frozen=True)
class Asked:
    """The options, as they were written."""

    size: str
    offset: str
    vma: str
    bar_size: str | None
    bar_address: str | None
    kernel: str | None
    thp: ThpPolicy
    madvise: Literal["hugepage", "nohugepage"] | None

    def bar(self) -> Bar:
        return make_bar(
            parse_size(self.size, "size"),
            parse_size(self.offset, "offset"),
            None if self.bar_size is None else parse_size(self.bar_size, "bar size"),
            None if self.bar_address is None else parse_size(self.bar_address, "bar address"),
        )

    def window(self, kernel: Kernel, bar: Bar) -> Window:
        advice: Advice = self.madvise or ""
        size, offset = parse_size(self.size), parse_size(self.offset)
        return place_window(bar, size, offset, self.vma, kernel, advice)

    def usual_design(self) -> str:
        """That of the kernel; without --kernel, that of the newest."""
        own = design_of(find_kernel(self.kernel)) if self.kernel else None
        return "huge_fault" if own is None else own.name

    def setting(self, design: str) -> Setting:
        found = find_design(design)
        return Setting(found, find_kernel(self.kernel or found.kernel), self.thp)
