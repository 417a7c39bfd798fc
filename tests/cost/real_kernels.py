"""The tables of tests/data/real-kernels.md, and the same workloads in the model."""

from pathlib import Path

from pfnlab.catalogue import find_design
from pfnlab.cost.simulate import Setting
from pfnlab.kernel.geometry import GiB, KiB, MiB
from pfnlab.kernel.profile import find_kernel
from pfnlab.workload import Bar, MapDma, Memory, Munmap, Step, Touch, Window, Workload

DATA = Path(__file__).resolve().parent.parent / "data" / "real-kernels.md"
PAGE = 4 * KiB
BAR_ADDRESS = 0x4000000000
SLOT = 0x7F0000000000

# The builds of designs are all of 6.12; what the profile of each release changes is not there.
SETTINGS = {
    "V0": ("huge_fault", "v6.12"),
    "V1": ("remap_on_fault", "v6.12"),
    "V4": ("insert_page_on_fault", "v6.12"),
    "V5": ("insert_vma_on_fault", "v6.12"),
    "stock 6.1.192": ("remap_on_fault", "v6.1"),
    "stock 6.12.95": ("huge_fault", "v6.12"),
}
# Where a mapping of some alignment may have been: addresses are not in the record.  One that
# crosses 1 GiB has two tables of PMDs.
PLACES = {
    "1g": (SLOT,),
    "2m": (SLOT + 2 * MiB, SLOT + GiB - 32 * MiB),
    "4k": (SLOT + PAGE,),
    "nat": (SLOT + 2 * MiB,),
    "nat 6.1": (SLOT + 2 * MiB + 0x1C3000,),  # before v6.10 nothing aligns it
}


def rows_of(section: str) -> list[list[str]]:
    """The rows of one table, without its head."""
    text = DATA.read_text(encoding="utf-8").partition(f"## {section}:")[2].partition("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def setting_of(variant: str) -> Setting:
    design, kernel = SETTINGS[variant]
    return Setting(find_design(design), find_kernel(kernel))


def mebibytes(text: str) -> int:
    return int(text.removesuffix(" MiB")) * MiB


def places_of(variant: str, align: str) -> tuple[int, ...]:
    return PLACES["nat 6.1" if align == "nat" and "6.1." in variant else align]


def window_at(size: int, address: int) -> tuple[Bar, Window]:
    return Bar(size, BAR_ADDRESS), Window(size, 0, address)


def sweep_workload(size: int, address: int, middle: bool) -> Workload:
    """w1.  On both sides something else is mapped: the process had reserved more for the window.

    So munmap() leaves the tables that reach over an edge.
    """
    window = Window(size, PAGE, address)
    around = (Window(PAGE, 0, address - PAGE), Window(PAGE, size + PAGE, address + size))
    bar = Bar(size + 2 * PAGE, BAR_ADDRESS - PAGE)
    start = size // 2 if middle else 0
    first = Step("first", (Touch(0, start, start + PAGE),))
    return Workload(
        bar,
        (window, *around),
        (
            first,
            Step("sweep", (Touch(),)),
            Step("off", (Memory(False),)),
            Step("on", (Memory(True),)),
            Step("first again", first.actions),
            Step("sweep again", (Touch(),)),
            Step("munmap", (Munmap(),)),
        ),
    )


def dma_workload(size: int, address: int, before: str) -> Workload:
    """w4."""
    bar, window = window_at(size, address)
    first = Touch(0, 0, PAGE)
    states: dict[str, tuple[Step, ...]] = {
        "fresh": (),
        "touched": (Step("touch", (first,)),),
        "swept": (Step("touch", (Touch(),)),),
        "off": (Step("off", (Memory(False),)),),
        "offon": (Step("touch", (first,)), Step("off and on", (Memory(False), Memory(True)))),
    }
    return Workload(bar, (window,), (*states[before], Step("dma", (MapDma(),))))
