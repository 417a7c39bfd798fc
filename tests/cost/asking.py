"""A workload in the words of the command line, counted."""

from dataclasses import replace
from typing import Any, cast

from pfnlab.catalogue import find_design
from pfnlab.cost.estimate import Cost, cost
from pfnlab.cost.request import make_bar, place_window
from pfnlab.cost.simulate import Setting
from pfnlab.cost.words import make_workload
from pfnlab.kernel.profile import find_kernel


def asked(
    size: int,
    design: str = "huge_fault",
    kernel: str | None = None,
    vma: str = "best",
    *,
    offset: int = 0,
    thp: str = "always",
    advice: str = "",
    words: str = "touch",
    bar_size: int | None = None,
    bar_address: int | None = None,
) -> Cost:
    found = find_design(design)
    setting = Setting(found, find_kernel(kernel or found.kernel), cast(Any, thp))
    bar = make_bar(size, offset, bar_size, None)
    if bar_address is not None:  # for what is calculated, also one that no BAR has
        bar = replace(bar, address=bar_address)
    window = place_window(bar, size, offset, vma, setting.kernel, cast(Any, advice))
    return cost(make_workload(bar, window, words), setting)
