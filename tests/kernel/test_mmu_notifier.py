"""mmu notifiers: who hears of which zap."""

from pfnlab.engine.field import field
from pfnlab.engine.shared import Shared
from pfnlab.kernel import PAGE_SIZE, unmap_mapping_range, zap_vma_ptes
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.kernel.mmu_notifier import MmuNotifier, MmuNotifierOps, mmu_notifier_register
from pfnlab.kernel.pagetable import walk
from tests.kernel.alone import Place, alone


class Listener(Shared):
    """Remembers what it was told: "start" or "end", first and last page, and leaf or none."""

    heard = field[tuple[str, ...]](())

    def __init__(self, mm: object) -> None:
        self.mm = mm


def hear(what: str, subscription: MmuNotifier, start: int, end: int) -> None:
    listener = subscription.owner
    leaf = "none" if walk(listener.mm, start).leaf is None else "leaf"
    first, last = (start - MMAP_BASE) // PAGE_SIZE, (end - MMAP_BASE) // PAGE_SIZE
    listener.heard = (*listener.heard, f"{what} {first}..{last} {leaf}")


OPS = MmuNotifierOps(
    lambda subscription, start, end: hear("start", subscription, start, end),
    lambda subscription, start, end: hear("end", subscription, start, end),
)


def listen(place: Place) -> Listener:
    listener = Listener(place.mm)
    mmu_notifier_register(MmuNotifier(OPS, listener), place.mm)
    place.lab.touch(place.mapping)
    return listener


def test_a_zap_is_told_before_and_after() -> None:
    def code(place: Place) -> tuple[str, ...]:
        listener = listen(place)
        with place.mm.mmap_lock.read():
            zap_vma_ptes(place.vma, place.mapping.address, place.mapping.size)
        return listener.heard

    assert alone(code).returned == ("start 0..4 leaf", "end 0..4 none")


def test_a_zap_of_a_file_tells_of_the_part_that_a_vma_maps() -> None:
    def code(place: Place) -> tuple[str, ...]:
        listener = listen(place)
        unmap_mapping_range(place.vdev.mapping, 0, 2 * PAGE_SIZE)
        return listener.heard

    assert alone(code).returned == ("start 0..2 leaf", "end 0..2 none")


def test_munmap_tells_of_the_range() -> None:
    def code(place: Place) -> tuple[str, ...]:
        listener = listen(place)
        place.lab.munmap(place.mapping)
        return listener.heard

    assert alone(code).returned == ("start 0..4 leaf", "end 0..4 none")


def test_a_zap_in_another_mm_is_not_told() -> None:
    def code(place: Place) -> tuple[str, ...]:
        listener = listen(place)
        child = place.lab.fork()
        place.lab.munmap(place.mapping.of(child))
        return listener.heard

    assert alone(code).returned == ()


def test_without_a_subscriber_a_zap_has_no_further_steps() -> None:
    def zap(place: Place) -> None:
        unmap_mapping_range(place.vdev.mapping, 0, place.mapping.size)

    # Lock, look at i_mmap, zap, end the gather, unlock.
    assert alone(zap).result.steps == 5
