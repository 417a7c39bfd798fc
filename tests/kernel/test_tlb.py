"""What CPUs cache, and what they forget."""

import pytest

from pfnlab import Scenario, explore, replay
from pfnlab.designs import huge_fault
from pfnlab.engine.word import known_words
from pfnlab.kernel import (
    PAGE_SIZE,
    PMD_ORDER,
    PROT_READ,
    VM_FAULT_SIGBUS,
    Lab,
    Mm,
)
from pfnlab.kernel.cpu import reach
from pfnlab.kernel.mmu_gather import (
    MmuGather,
    tlb_finish_mmu,
    tlb_gather_mmu,
    tlb_gather_mmu_fullmm,
)
from pfnlab.kernel.pagetable import zap_range
from pfnlab.kernel.tlb import flush_tlb_mm_range
from pfnlab.kernel.zap import unmap_single_vma
from pfnlab.rules import RULES
from tests.kernel.alone import Place, alone, leaves_seen

PMD = PAGE_SIZE << PMD_ORDER
FAR = 0x600000000000


def clear(place: Place, tlb: MmuGather | None = None) -> MmuGather:
    """Clear all leaves of the mapping and do not flush."""
    tlb = tlb or MmuGather()
    tlb_gather_mmu(tlb, place.mm)
    zap_range(tlb, place.vma, place.vma.vm_start, place.vma.vm_end)
    return tlb


def number_cached(mm: Mm) -> int:
    """Translations of all CPUs; a look that is no step."""
    return sum(len(cell.value or ()) for cell in known_words(mm, "tlbs").values())


def reached(place: Place, page: int = 0) -> bool:
    return reach(place.mm, place.mapping.address + page * PAGE_SIZE, "access")


def test_what_was_cached_is_used_after_its_leaf_has_gone() -> None:
    def code(place: Place) -> tuple[bool, list[object]]:
        place.lab.touch(place.mapping)
        clear(place)
        return reached(place), list(leaves_seen(place.mm))

    assert alone(code).returned == (True, [])


def test_what_was_not_used_is_not_cached() -> None:
    def code(place: Place) -> bool:
        clear(place)
        return reached(place)

    assert alone(code).returned is False


def test_a_large_leaf_is_cached_as_a_whole() -> None:
    def code(place: Place) -> list[bool]:
        place.lab.touch(place.mapping)
        clear(place)
        return [reached(place, page) for page in range(5)]

    assert alone(code, pages=8).returned == [True] * 4 + [False]


def test_the_end_of_a_zap_flushes() -> None:
    def code(place: Place) -> bool:
        place.lab.touch(place.mapping)
        tlb_finish_mmu(clear(place))
        return reached(place)

    assert alone(code).returned is False


def test_a_flush_leaves_what_is_beside_its_range() -> None:
    def code(place: Place) -> list[bool]:
        for page in (0, 4):
            place.lab.touch(place.mapping, page * PAGE_SIZE)
        clear(place)
        flush_tlb_mm_range(place.mm, place.mapping.address, place.mapping.address + PMD)
        return [reached(place, page) for page in (0, 4)]

    assert alone(code, pages=8).returned == [False, True]


def test_a_flush_of_one_page_takes_the_large_translation_over_it() -> None:
    def code(place: Place) -> bool:
        place.lab.touch(place.mapping)
        clear(place)
        flush_tlb_mm_range(
            place.mm, place.mapping.address + PAGE_SIZE, place.mapping.address + 2 * PAGE_SIZE
        )
        return reached(place)

    assert alone(code).returned is False


def test_a_zap_that_is_not_alone_flushes_what_it_has_not_cleared() -> None:
    def code(place: Place) -> tuple[bool, int]:
        place.lab.touch(place.mapping)
        first = clear(place)
        tlb_finish_mmu(clear(place))
        reaches = reached(place)
        tlb_finish_mmu(first)
        return reaches, place.mm.tlb_flush_pending

    assert alone(code).returned == (False, 0)


def test_a_zap_that_clears_nothing_and_is_alone_flushes_nothing() -> None:
    def code(place: Place) -> tuple[bool, int]:
        place.lab.touch(place.mapping)
        clear(place)
        # As if the gather of that zap had never been: nobody flushes for it.
        place.mm.tlb_flush_pending = 0
        tlb_finish_mmu(clear(place))
        return reached(place), place.mm.tlb_flush_pending

    assert alone(code).returned == (True, 0)


def test_a_gather_that_was_never_used_ends_without_a_step() -> None:
    def code(place: Place) -> int:
        tlb = MmuGather()
        tlb_gather_mmu(tlb, place.mm)
        tlb_finish_mmu(tlb)
        return 0

    assert alone(code).result.steps == 0


def test_the_gather_of_a_whole_mm_flushes_what_it_has_not_cleared() -> None:
    def code(place: Place) -> int:
        for page in (0, 4):
            place.lab.touch(place.mapping, page * PAGE_SIZE)
        tlb = MmuGather()
        tlb_gather_mmu_fullmm(tlb, place.mm)
        unmap_single_vma(tlb, place.vma, place.vma.vm_start, place.vma.vm_start + PMD)
        before = number_cached(place.mm)
        tlb_finish_mmu(tlb)
        return before - number_cached(place.mm)

    assert alone(code, pages=8).returned == 2


@pytest.mark.parametrize(
    ("kernel", "reaches"), [("v5.8", True), ("v6.1", False), ("v6.12", False), ("v7.3", True)]
)
def test_from_v5_19_on_the_end_of_a_pfn_mapping_flushed(kernel: str, reaches: bool) -> None:
    def code(place: Place) -> bool:
        place.lab.touch(place.mapping)
        tlb = MmuGather()
        tlb_gather_mmu(tlb, place.mm)
        unmap_single_vma(tlb, place.vma, place.vma.vm_start, place.vma.vm_end)
        return reached(place)

    assert alone(code, kernel=kernel).returned is reaches


def test_mremap_flushes_the_old_addresses() -> None:
    def code(place: Place) -> list[bool]:
        place.lab.touch(place.mapping)
        place.lab.mremap(place.mapping, new_address=FAR)
        return [reached(place), reach(place.mm, FAR, "access")]

    assert alone(code).returned == [False, True]


@pytest.mark.parametrize("cut", ["munmap", "mprotect"])
def test_a_large_leaf_that_is_cut_is_flushed_with_its_clear(cut: str) -> None:
    def code(place: Place) -> list[bool]:
        place.lab.touch(place.mapping)
        if cut == "munmap":
            place.lab.munmap(place.mapping, 2 * PAGE_SIZE)
        else:
            place.lab.mprotect(place.mapping, PROT_READ, 2 * PAGE_SIZE)
        return [reached(place, page) for page in range(4)]

    assert alone(code).returned == [False] * 4


def test_fork_keeps_what_the_parent_has_cached_and_the_child_has_nothing() -> None:
    def code(place: Place) -> tuple[int, int]:
        place.lab.touch(place.mapping)
        child = place.lab.fork()
        return number_cached(place.mm), number_cached(child)

    assert alone(code).returned == (1, 0)


def test_exit_flushes_all_of_the_mm() -> None:
    def code(place: Place) -> tuple[int, int]:
        place.lab.touch(place.mapping)
        before = number_cached(place.mm)
        place.lab.exit()
        return before, number_cached(place.mm)

    assert alone(code).returned == (1, 0)


def test_a_cpu_in_a_window_between_clear_and_flush_goes_on_without_a_fault() -> None:
    """As a TLB is for: the second touch ends in 0 also while memory is being turned off."""
    codes: set[tuple[int, int]] = set()

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)

        @lab.task
        def vcpu() -> None:
            codes.add((int(lab.touch(mapping)), int(lab.touch(mapping))))

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=False)

        lab.always(*RULES)

    result = explore(Scenario("window", "Two touches beside a disable.", build), huge_fault.design)
    bus_error = int(VM_FAULT_SIGBUS)

    assert result.verdict == "ok"
    assert codes == {(0, 0), (0, bus_error), (bus_error, bus_error)}


def test_a_trace_tells_a_stale_access_from_one_by_a_leaf() -> None:
    def build(lab: Lab) -> None:
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)

        @lab.task
        def task() -> None:
            lab.touch(mapping)
            lab.touch(mapping)
            (vma,) = mapping.mm.vmas
            tlb = MmuGather()
            tlb_gather_mmu(tlb, mapping.mm)
            zap_range(tlb, vma, vma.vm_start, vma.vm_end)
            lab.touch(mapping)
            with vdev.memory_lock.write():
                vdev.memory_enabled = False

        lab.always(*RULES)

    scenario = Scenario("stale", "A CPU uses a stale translation.", build)
    result = explore(scenario, huge_fault.design)
    assert result.violation is not None
    assert result.violation.rule == "no_translation_while_memory_disabled"

    again = replay(scenario, huge_fault.design, result.schedule)
    assert again is not None
    shown = [step.detail for step in again.trace.steps if step.verb == "access"]
    leaf = "7f0000000000: pmd 7f0000000000 -> pfn 3800000"
    assert shown[1:] == [leaf, f"{leaf}, from a TLB", f"{leaf}, from a stale TLB"]
