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
from dataclasses import replace
from itertools import pairwise

from pfnlab.errors import ModelError
from pfnlab.workload import (
    PAGE,
    Action,
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

UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
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
    value = int(number, 16 if number[:2] in ("0x", "0X") else 10) * UNITS[(unit or "").upper()]
    if sign == "-" and value:
        raise ModelError(f"{what} {text} is negative")
    return value


def check_pages(what: str, value: int, least: int = 0) -> int:
    if value % PAGE:
        raise ModelError(f"{what} {value:#x} is no multiple of 4 KiB")
    if value < least:
        raise ModelError(f"{what} {value:#x} must be at least {least:#x}")
    return value


def check_inside(offset: int, size: int, whole: int, bar: str = "the BAR") -> None:
    """A mapping must be a part of its BAR, of `whole` bytes."""
    if offset >= whole:
        raise ModelError(f"offset {offset:#x} is beyond {bar}, which has {whole:#x} bytes")
    if offset + size > whole:
        raise ModelError(
            f"offset {offset:#x} and size {size:#x} are beyond {bar}, which has {whole:#x} bytes"
        )


def parse_part(offset: str, size: str | None, whole: int, bar: str = "the BAR") -> tuple[int, int]:
    """Size and offset in bytes; up to the end of the BAR if no size is given."""
    start = check_pages("offset", parse_size(offset, "offset"))
    check_inside(start, 0, whole, bar)
    length = whole - start if size is None else check_pages("size", parse_size(size), PAGE)
    check_inside(start, length, whole, bar)
    return length, start


def check_apart(windows: list[Window]) -> None:
    ordered = sorted(windows, key=lambda window: window.address)
    for below, above in pairwise(ordered):
        if below.end > above.address:
            raise ModelError(f"two mappings overlap at {above.address:#x}")


def make_workload(bar: Bar, window: Window, words: str) -> Workload:
    """The steps in words, on one window."""
    if not words.strip():
        return Workload(bar, (window,))
    steps = [parse_step(word.strip(), window) for word in words.split(",")]
    check_order(steps)
    return Workload(bar, (window,), tuple(there_and_back(steps, window)))


def there_and_back(steps: list[Step], window: Window) -> list[Step]:
    """Every second mremap() goes back to where the window was before."""
    moves = 0

    def placed(action: Action) -> Action:
        nonlocal moves
        if not isinstance(action, Mremap):
            return action
        moves += 1
        return action if moves % 2 else replace(action, address=window.address)

    return [replace(step, actions=tuple(map(placed, step.actions))) for step in steps]


def check_order(steps: list[Step]) -> None:
    """One child is enough to see what a fork costs; and nothing is used before it is there."""
    forked = mapped = gone = False
    for step in steps:
        for action in step.actions * min(step.times, 2):
            if gone and needs_mapping(action):
                raise ModelError(f"{step.name!r}: a workload is done with its mapping at munmap")
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
            elif isinstance(action, Munmap) and step.times > 1:
                raise ModelError("a mapping ends once")
            if isinstance(action, MapDma | UnmapDma):
                mapped = isinstance(action, MapDma)
            gone = gone or isinstance(action, Munmap)


def needs_mapping(action: Action) -> bool:
    """In the process that made it; a child has one of its own, and the device may be used."""
    if isinstance(action, Touch):
        return not action.in_child
    return isinstance(action, MapDma | Mremap | Munmap)


def parse_step(word: str, window: Window) -> Step:
    """One step; "3*zap+touch" is two actions, three times."""
    found = re.fullmatch(r"(?:(\d+)\*)?(.*)", word)
    assert found is not None
    times = int(found.group(1) or 1)
    if times < 1:
        raise ModelError(f"{word!r}: at least once")
    actions: list[Action] = []
    for part in found.group(2).split("+"):
        actions += parse_action(part.strip(), window)
    return Step(word, tuple(actions), times)


def elsewhere(window: Window) -> int:
    """Where a window can be moved to; 0 if where it is will be known when it is mapped."""
    if window.address == 0:
        return 0
    return window.address + -(-window.size // UNITS["G"]) * UNITS["G"]


def parse_action(word: str, window: Window) -> list[Action]:
    middle = window.size // PAGE // 2 * PAGE
    known: dict[str, list[Action]] = {
        "touch": [Touch()],
        "backward": [Touch(direction="backward")],
        "random": [Touch(direction="random")],
        "first": [Touch(end=PAGE)],
        "middle": [Touch(start=middle, end=middle + PAGE)],
        "every-2M": [Touch(every="pmd")],
        "every-1G": [Touch(every="pud")],
        "map_dma": [MapDma()],
        "unmap_dma": [UnmapDma()],
        "off": [Memory(False)],
        "on": [Memory(True)],
        "zap": [Memory(False), Memory(True)],
        "fork": [Fork()],
        "child": [Touch(in_child=True)],
        "mremap": [Mremap(address=elsewhere(window))],
        "munmap": [Munmap()],
    }
    if word in known:
        return known[word]
    share = re.fullmatch(r"(\d+)%", word)
    if share is not None:
        if not 0 < int(share.group(1)) <= 100:
            raise ModelError(f"{word} of a mapping: a share is from 1% to 100%")
        pages = -(-window.size // PAGE * int(share.group(1)) // 100)
        return [Touch(end=pages * PAGE)]
    if not word:
        raise ModelError("a step of the workload is empty: two commas or + in a row, or at an end")
    raise ModelError(f"no step of a workload is called {word!r}; there are {', '.join(WORDS)}")
