"""From what a user asks for to a workload; what cannot be is a ModelError of one line.

A workload in words is a list of steps with commas in between:

    touch  backward  random   every page, in an order (see workload.Touch)
    first  middle             one page
    10%                       every page of the first tenth
    every-2M  every-1G        one page in each
    map_dma  unmap_dma        by type1
    off  on  zap              COMMAND.MEM; zap is off and on
    fork  child               and every page touched in the child
    mremap                    to other addresses that agree with these modulo 1 GiB
    munmap
    3*zap+touch               both, three times
"""

import re
from itertools import pairwise

from pfnlab.cost.address import best_address, natural_address
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.geometry import PAGE_SIZE, GiB, KiB, MiB, TiB
from pfnlab.kernel.profile import Kernel
from pfnlab.workload import (
    Action,
    Advice,
    Bar,
    Fork,
    MapDma,
    Memory,
    Mremap,
    Munmap,
    Step,
    Touch,
    UnmapDma,
    Window,
    Workload,
)

UNITS = {"": 1, "K": KiB, "M": MiB, "G": GiB, "T": TiB}
END_OF_USER_SPACE = 1 << 47
WORDS = (
    "touch", "backward", "random", "first", "middle", "N%", "every-2M", "every-1G", "map_dma",
    "unmap_dma", "off", "on", "zap", "fork", "child", "mremap", "munmap",
)  # fmt: skip


def parse_size(text: str, what: str = "size") -> int:
    """128G, 2MiB, 0x1000 or 4096."""
    found = re.fullmatch(r"([+-]?)(0x[0-9a-f]+|\d+)\s*(?:([KMGT])(?:iB|B)?)?", text.strip(), re.I)
    if found is None:
        raise ModelError(f"{what} {text!r} is no number of bytes, as 128G, 2M or 0x600000")
    sign, number, unit = found.groups()
    value = int(number, 0) * UNITS[(unit or "").upper()]
    if sign == "-" and value:
        raise ModelError(f"{what} {text} is negative")
    return value


def check_pages(what: str, value: int, least: int = 0) -> int:
    if value % PAGE_SIZE:
        raise ModelError(f"{what} {value:#x} is no multiple of 4 KiB")
    if value < least:
        raise ModelError(f"{what} {value:#x} must be at least {least:#x}")
    return value


def make_bar(size: int, offset: int, bar_size: int | None, bar_address: int | None) -> Bar:
    """The BAR of a window; its size and address are powers of two if not given."""
    if size == 0:
        raise ModelError("size is 0: there is nothing to map")
    check_pages("size", size, PAGE_SIZE)
    check_pages("offset", offset)
    if bar_size is None:
        bar_size = 1 << (size + offset - 1).bit_length()
    check_pages("bar size", bar_size, PAGE_SIZE)
    if offset >= bar_size:
        raise ModelError(f"offset {offset:#x} is beyond the BAR, which has {bar_size:#x} bytes")
    if offset + size > bar_size:
        raise ModelError(
            f"offset {offset:#x} and size {size:#x} are beyond the BAR, which has "
            f"{bar_size:#x} bytes"
        )
    if bar_address is None:
        bar_address = max(1 << (bar_size - 1).bit_length(), GiB)
    return Bar(bar_size, check_pages("bar address", bar_address))


def place_window(
    bar: Bar, size: int, offset: int, vma: str, kernel: Kernel, advice: Advice = ""
) -> Window:
    """`vma` is an address, "best" or "natural"."""
    assert bar.address is not None
    if vma == "best":
        address = best_address(size, offset, bar.address)
    elif vma == "natural":
        address = natural_address(size, offset, kernel)
    else:
        address = check_pages("vma", parse_size(vma, "vma"), PAGE_SIZE)
    if address < PAGE_SIZE or address + size > END_OF_USER_SPACE:
        raise ModelError(
            f"a mapping of {size:#x} bytes at {address:#x} does not end below "
            f"{END_OF_USER_SPACE:#x}"
        )
    return Window(size, offset, address, advice)


def check_apart(windows: list[Window]) -> None:
    ordered = sorted(windows, key=lambda window: window.address)
    for below, above in pairwise(ordered):
        if below.end > above.address:
            raise ModelError(f"two mappings overlap at {above.address:#x}")


def make_workload(bar: Bar, windows: list[Window], words: str, subject: int = 0) -> Workload:
    """The steps in words, on one of the windows; the others are there and are not used."""
    check_apart(windows)
    steps = [
        parse_step(word.strip(), windows[subject], subject)
        for word in words.split(",")
        if word.strip()
    ]
    check_order(steps)
    return Workload(bar, tuple(windows), tuple(steps))


def check_order(steps: list[Step]) -> None:
    """One child is enough to see what a fork costs; and nothing is used before it is there."""
    forked = mapped = False
    for step in steps:
        for action in step.actions:
            if isinstance(action, Fork):
                if forked or step.times > 1:
                    raise ModelError("a workload forks once")
                forked = True
            elif isinstance(action, Touch) and action.in_child and not forked:
                raise ModelError("a workload forks before it touches in the child")
            elif isinstance(action, UnmapDma) and not mapped:
                raise ModelError("a workload maps before it unmaps")
            elif isinstance(action, Mremap) and step.times > 1:
                raise ModelError("a mapping is moved once in a step")
            mapped = mapped or isinstance(action, MapDma)


def parse_step(word: str, window: Window, index: int) -> Step:
    """One step; "3*zap+touch" is two actions, three times."""
    found = re.fullmatch(r"(?:(\d+)\*)?(.*)", word)
    assert found is not None
    times = int(found.group(1) or 1)
    if times < 1:
        raise ModelError(f"{word!r}: at least once")
    actions: list[Action] = []
    for part in found.group(2).split("+"):
        actions += parse_action(part.strip(), window, index)
    return Step(word, tuple(actions), times)


def elsewhere(window: Window) -> int:
    """Where a window can be moved to; 0 if where it is will be known when it is mapped."""
    if window.address == 0:
        return 0
    return window.address + -(-window.size // GiB) * GiB


def parse_action(word: str, window: Window, index: int) -> list[Action]:
    middle = window.size // PAGE_SIZE // 2 * PAGE_SIZE
    known: dict[str, list[Action]] = {
        "touch": [Touch(index)],
        "backward": [Touch(index, direction="backward")],
        "random": [Touch(index, direction="random")],
        "first": [Touch(index, end=PAGE_SIZE)],
        "middle": [Touch(index, start=middle, end=middle + PAGE_SIZE)],
        "every-2M": [Touch(index, every="pmd")],
        "every-1G": [Touch(index, every="pud")],
        "map_dma": [MapDma(index)],
        "unmap_dma": [UnmapDma(index)],
        "off": [Memory(False)],
        "on": [Memory(True)],
        "zap": [Memory(False), Memory(True)],
        "fork": [Fork()],
        "child": [Touch(index, in_child=True)],
        "mremap": [Mremap(index, elsewhere(window))],
        "munmap": [Munmap(index)],
    }
    if word in known:
        return known[word]
    share = re.fullmatch(r"(\d+)%", word)
    if share is not None and 0 < int(share.group(1)) <= 100:
        pages = -(-window.size // PAGE_SIZE * int(share.group(1)) // 100)
        return [Touch(index, end=pages * PAGE_SIZE)]
    raise ModelError(f"no step of a workload is called {word!r}; there are {', '.join(WORDS)}")
