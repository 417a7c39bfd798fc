"""Every pair of things that user space can do to one device, and some threes around a zap.

A scenario is named after its actors: touch+disable.  The actors share one device.  All work
in the first process, but `other`, which has a mapping in a second one, and `exit`, which is
the end of a third.  Mappings are filled before, unless an actor is there to fill them.
"""

from itertools import combinations_with_replacement

from pfnlab.engine.program import Scenario
from pfnlab.kernel import PAGE_SIZE, PMD_ORDER, Lab, Mapping, VfioPciDevice
from pfnlab.kernel.geometry import PTE_ORDER
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import (
    FAR,
    Work,
    mapped_bar,
    maps_for_dma,
    resets,
    touches,
    turns_memory,
    unmaps,
)

FILLERS = ("touch", "map_dma", "other")

# What an actor does, as the end of a sentence; by name.
DOES = {
    "touch": "touches the mapping",
    "disable": "turns memory decoding off",
    "enable": "turns memory decoding on",
    "reset": "resets the device",
    "munmap": "unmaps the mapping",
    "mremap": "moves the mapping",
    "fork": "forks",
    "exit": "ends a process that has a mapping",
    "map_dma": "maps the mapping for DMA",
    "other": "touches a mapping of another process",
}
# Not twice: a register has one value, and what is gone or moved is not there again.
ONCE = ("enable", "mremap", "exit", "other")
THREES = (
    ("touch", "disable", "reset"),
    ("touch", "disable", "other"),
    ("touch", "disable", "enable"),
    ("touch", "disable", "munmap"),
    ("touch", "disable", "mremap"),
    ("touch", "disable", "fork"),
    ("disable", "fork", "exit"),
)


def actor(name: str, lab: Lab, vdev: VfioPciDevice, mapping: Mapping, filled: bool) -> Work:
    """What one task does.  Called while setting up, so it may add what the task needs."""

    def mapping_elsewhere() -> Mapping:
        elsewhere = lab.mmap(vdev, mm=lab.process())
        if filled:
            lab.touch(elsewhere)
        return elsewhere

    match name:
        case "touch":
            return touches(lab, mapping)
        case "disable":
            return turns_memory(lab, vdev, "off")
        case "enable":
            return turns_memory(lab, vdev, "on")
        case "reset":
            return resets(lab, vdev)
        case "munmap":
            return unmaps(lab, mapping)
        case "mremap":
            return lambda: lab.mremap(mapping, new_address=FAR)
        case "fork":
            return lab.fork
        case "exit":
            ending = mapping_elsewhere().mm
            return lambda: lab.exit(ending)
        case "map_dma":
            return maps_for_dma(lab, mapping)
        case _:
            return touches(lab, mapping_elsewhere())


def together(names: tuple[str, ...]) -> Scenario:
    """The scenario in which these actors do what they do at the same time."""

    def build(lab: Lab) -> None:
        # Three actors get a BAR of one page, two get one that a PMD leaf fills.
        size = PAGE_SIZE << (PMD_ORDER if len(names) == 2 else PTE_ORDER)
        vdev, mapping = mapped_bar(lab, size)
        filled = not any(name in FILLERS for name in names)
        if filled:
            lab.touch(mapping)
        for place, name in enumerate(names):
            task = f"{name}{place}" if names.count(name) > 1 else name
            lab.add_task(task, actor(name, lab, vdev, mapping, filled))
        for name in {name: None for name in names if names.count(name) > 1}:
            # They differ in nothing but their names.
            lab.interchangeable(*[f"{n}{place}" for place, n in enumerate(names) if n == name])
        if "enable" in names:
            lab.write_command(vdev, memory=False)
        lab.always(*RULES)

    doing = [DOES[name] for name in names]
    sentence = f"One task {', one '.join(doing[:-1])} and one {doing[-1]}."
    return Scenario("+".join(names), sentence, build)


PAIRS = tuple(
    together(pair)
    for pair in combinations_with_replacement(DOES, 2)
    if pair[0] != pair[1] or pair[0] not in ONCE
)
TRIPLES = tuple(together(names) for names in THREES)
