"""The kernel itself faults the BAR in: for a DMA mapping of type1, and for a futex."""

from pfnlab.engine.program import scenario
from pfnlab.kernel import Lab
from pfnlab.rules import RULES
from pfnlab.scenarios.actors import mapped_bar, maps_for_dma, turns_memory, unmaps


@scenario
def map_dma(lab: Lab) -> None:
    """type1 maps a fresh BAR mapping for DMA."""
    _vdev, mapping = mapped_bar(lab)
    lab.add_task("type1", maps_for_dma(lab, mapping))
    lab.always(*RULES)


@scenario
def map_dma_vs_disable(lab: Lab) -> None:
    """type1 maps a fresh BAR mapping for DMA while memory decoding is turned off."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("type1", maps_for_dma(lab, mapping))
    lab.add_task("config", turns_memory(lab, vdev, "off"))
    lab.always(*RULES)


@scenario
def map_dma_vs_disable_enable(lab: Lab) -> None:
    """type1 maps a fresh BAR mapping for DMA while memory decoding is turned off and on."""
    vdev, mapping = mapped_bar(lab)
    lab.add_task("type1", maps_for_dma(lab, mapping))
    lab.add_task("config", turns_memory(lab, vdev, "off", "on"))
    lab.always(*RULES)


@scenario
def map_dma_vs_munmap(lab: Lab) -> None:
    """type1 maps a BAR mapping for DMA while another thread unmaps it."""
    _vdev, mapping = mapped_bar(lab)
    lab.add_task("type1", maps_for_dma(lab, mapping))
    lab.add_task("munmap", unmaps(lab, mapping))
    lab.always(*RULES)


@scenario
def futex_on_bar(lab: Lab) -> None:
    """A futex lies in the BAR, and its fault must not drop mmap_lock; memory is turned off."""
    vdev, mapping = mapped_bar(lab)

    @lab.task
    def waker() -> None:
        lab.futex_wake_op(mapping)

    lab.add_task("config", turns_memory(lab, vdev, "off"))
    lab.always(*RULES)
