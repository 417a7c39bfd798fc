"""Which level a fault tries, and the protocol of its return codes."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab import ModelError, Scenario, check, explore
from pfnlab.designs import huge_fault, write_lock_in_fault
from pfnlab.engine.signal import kill
from pfnlab.kernel import (
    FAULT_FLAG_ALLOW_RETRY,
    FAULT_FLAG_TRIED,
    FAULT_FLAG_VMA_LOCK,
    PAGE_SIZE,
    PMD_ORDER,
    PUD_ORDER,
    VM_FAULT_COMPLETED,
    VM_FAULT_FALLBACK,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    VM_FAULT_RETRY,
    VM_FAULT_SIGBUS,
    VM_FAULT_SIGSEGV,
    VM_NOHUGEPAGE,
    Lab,
    Leaf,
    Order,
    VmFault,
    VmOperations,
    align_down,
    is_aligned_for_order,
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
    vm_fault_t,
    vm_flags_set,
    vmf_insert_pfn,
    zap_vma_ptes,
)
from pfnlab.kernel.fault import handle_mm_fault
from pfnlab.kernel.fault_codes import FaultFlag, show_fault
from pfnlab.kernel.geometry import PTE_ORDER
from pfnlab.kernel.lab_memory import MMAP_BASE
from pfnlab.kernel.pagetable import set_leaf
from pfnlab.rules import RULES
from tests.kernel.alone import Outcome, Place, alone, leaves_seen

Handler = Callable[[VmFault], object]
PFN = 0x3800000


def leaves_after_touching(
    *pages: int, bar: int, address: int, offset: int = 0, size: int | None = None
) -> list[str]:
    """The leaves of a mapping of part of a BAR.  All numbers are pages."""
    returned: list[list[str]] = []

    def build(lab: Lab) -> None:
        mapping = lab.mmap(
            lab.vfio_device(bar * PAGE_SIZE),
            address=MMAP_BASE + address * PAGE_SIZE,
            offset=offset * PAGE_SIZE,
            size=(bar if size is None else size) * PAGE_SIZE,
        )
        lab.always(*RULES)

        @lab.task
        def vcpu() -> None:
            for page in pages:
                assert not lab.touch(mapping, offset=page * PAGE_SIZE)
            returned.append(
                [
                    f"{leaf.order.entry} {(leaf.addr - MMAP_BASE) // PAGE_SIZE} -> {leaf.pfn - PFN}"
                    for leaf in leaves_seen(mapping.mm)
                ]
            )

    check(Scenario("touches", "One vCPU touches a BAR.", build), huge_fault.design)
    return returned[-1]


def test_a_bar_of_one_pud_gets_one_pud_leaf() -> None:
    assert leaves_after_touching(*range(16), bar=16, address=0) == ["pud 0 -> 0"]


def test_a_bar_of_two_puds_gets_one_for_each() -> None:
    assert leaves_after_touching(0, 31, bar=32, address=16) == ["pud 16 -> 0", "pud 32 -> 16"]


def test_a_bar_one_page_short_of_a_pud_gets_pmds_and_pages() -> None:
    assert leaves_after_touching(*range(15), bar=15, address=0) == [
        "pmd 0 -> 0", "pmd 4 -> 4", "pmd 8 -> 8", "pte 12 -> 12", "pte 13 -> 13", "pte 14 -> 14",
    ]  # fmt: skip


def test_a_window_from_the_second_page_gets_pages_up_to_the_next_pmd() -> None:
    leaves = leaves_after_touching(*range(15), bar=16, address=1, offset=1, size=15)

    assert leaves == [
        "pte 1 -> 1", "pte 2 -> 2", "pte 3 -> 3", "pmd 4 -> 4", "pmd 8 -> 8", "pmd 12 -> 12",
    ]  # fmt: skip


def test_an_address_one_page_higher_than_the_pfn_gets_pages_only() -> None:
    leaves = leaves_after_touching(*range(16), bar=16, address=1)

    assert leaves == [f"pte {page + 1} -> {page}" for page in range(16)]


def test_munmap_frees_the_tables_so_that_a_large_leaf_fits_again() -> None:
    def code(place: Place) -> list[str]:
        small = place.lab.mmap(place.vdev, size=PAGE_SIZE, address=MMAP_BASE + 64 * PAGE_SIZE)
        place.lab.touch(small)
        place.lab.munmap(small)
        large = place.lab.mmap(place.vdev, address=MMAP_BASE + 64 * PAGE_SIZE)
        place.lab.touch(large)
        return [leaf.order.entry for leaf in leaves_seen(place.mm, first=64, last=80)]

    assert alone(code, pages=16).returned == ["pud"]


def test_a_zap_leaves_the_tables_so_that_no_large_leaf_fits_again() -> None:
    def code(place: Place) -> list[str]:
        with place.mm.mmap_lock.read():
            vmf_insert_pfn(place.vma, place.vma.vm_start, place.vma.first_pfn)
            zap_vma_ptes(place.vma, place.vma.vm_start, place.vma.size)
        place.lab.touch(place.mapping)
        return [leaf.order.entry for leaf in leaves_seen(place.mm)]

    assert alone(code, pages=16).returned == ["pte"]


def test_a_fault_with_a_leaf_already_there_does_not_call_the_handler() -> None:
    def code(place: Place) -> tuple[object, int]:
        place.lab.touch(place.mapping)
        mmap_read_lock(place.mm)
        fault = handle_mm_fault(place.vma, place.vma.vm_start, FaultFlag(0))
        mmap_read_unlock(place.mm)
        return fault, len(leaves_seen(place.mm))

    assert alone(code).returned == (vm_fault_t(0), 1)


@pytest.mark.parametrize(
    ("addr", "pfn", "order", "aligned"),
    [
        (0, 0, 0, True),
        (0, 1, 0, True),
        (0, PFN, 9, True),
        (0, PFN + 1, 9, False),
        (-4, PFN, 9, False),
        (12, PFN, 9, True),
        (13, PFN, 9, False),
        (0, PFN, 18, True),
        (4, PFN, 18, False),
    ],
)
def test_a_leaf_is_aligned_if_it_lies_in_the_vma_and_its_pfn_fits(
    addr: int, pfn: int, order: int, aligned: bool
) -> None:
    level = {0: PTE_ORDER, 9: PMD_ORDER, 18: PUD_ORDER}[order]

    def code(place: Place) -> bool:
        start = place.vma.vm_start
        return is_aligned_for_order(place.vma, start + addr * PAGE_SIZE, pfn, level)

    assert alone(code, pages=16).returned is aligned


# ---- how often the handler is called


def calls_for(kernel: str, *, fits: Order, touched: bool = False, pages: int = 16) -> list[str]:
    """The orders that the handler is asked for, and under which lock, by one touch.

    It falls back from every order above `fits`.  With `touched`, another page of the PMD
    has been touched before.
    """
    calls: list[str] = []

    def handler(vmf: VmFault, order: Order) -> vm_fault_t:
        lock = "vma" if vmf.flags & FAULT_FLAG_VMA_LOCK else "mmap"
        calls.append(f"{order.entry} {lock}")
        return huge_fault.huge_fault(vmf, order) if order <= fits else VM_FAULT_FALLBACK

    def fault(vmf: VmFault) -> vm_fault_t:
        return handler(vmf, PTE_ORDER)

    design = replace(
        huge_fault.design, name="counted", vm_ops=VmOperations(fault=fault, huge_fault=handler)
    )

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device(pages * PAGE_SIZE))

        @lab.task
        def vcpu() -> None:
            if touched:
                lab.touch(mapping, offset=PAGE_SIZE)
            calls.clear()
            lab.touch(mapping)

    check(Scenario("touch", "One vCPU touches a BAR.", build), design, kernel=kernel)
    return calls


def test_a_page_in_a_fresh_pud_takes_four_calls() -> None:
    """The walk under the VMA lock leaves a table behind, so the second asks for no PUD."""
    assert calls_for("v7.3", fits=PTE_ORDER) == ["pud vma", "pmd vma", "pmd mmap", "pte mmap"]


def test_without_vma_locks_a_page_in_a_fresh_pud_takes_three_calls() -> None:
    assert calls_for("v6.4", fits=PTE_ORDER) == ["pud mmap", "pmd mmap", "pte mmap"]


def test_a_page_beside_another_one_takes_one_call() -> None:
    assert calls_for("v7.3", fits=PTE_ORDER, touched=True) == ["pte mmap"]


def test_a_large_leaf_needs_no_mmap_lock() -> None:
    assert calls_for("v7.3", fits=PUD_ORDER) == ["pud vma"]
    assert calls_for("v7.3", fits=PMD_ORDER) == ["pud vma", "pmd vma"]


def test_a_driver_with_map_pages_is_called_under_the_vma_lock() -> None:
    seen: list[bool] = []

    def fault(vmf: VmFault) -> vm_fault_t:
        seen.append(bool(vmf.flags & FAULT_FLAG_VMA_LOCK))
        return huge_fault.page_fault(vmf)

    def calls(map_pages: bool) -> list[bool]:
        seen.clear()
        ops = VmOperations(fault=fault, map_pages=map_pages)
        design = replace(huge_fault.design, name="maps", vm_ops=ops)
        assert alone(lambda place: place.lab.touch(place.mapping), design=design).rule == ""
        return list(set(seen))

    assert calls(map_pages=True) == [True]
    assert calls(map_pages=False) == [False]


@pytest.mark.parametrize("late", ["pud", "pmd"])
def test_a_leaf_that_comes_while_the_handler_falls_back_ends_the_fault(late: str) -> None:
    """R30: who loses a race for a slot maps nothing, and reports no error."""

    def handler(vmf: VmFault, order: Order) -> vm_fault_t:
        if order.entry == late:
            # What another CPU does meanwhile.
            addr = align_down(vmf.address, PAGE_SIZE << order)
            assert set_leaf(vmf.vma, Leaf(order, addr, PFN, "UC-")) is None
        return VM_FAULT_FALLBACK

    def fault(vmf: VmFault) -> vm_fault_t:
        raise AssertionError("a page is mapped under a larger leaf")

    design = replace(
        huge_fault.design, name="late", vm_ops=VmOperations(fault=fault, huge_fault=handler)
    )

    def code(place: Place) -> tuple[object, list[str]]:
        signal = place.lab.touch(place.mapping)
        return signal, [leaf.order.entry for leaf in leaves_seen(place.mm)]

    assert alone(code, design=design, pages=16).returned == (vm_fault_t(0), [late])


# ---- signals


def test_a_killed_task_faults_no_more() -> None:
    """The killable wait of write_lock_in_fault ends in VM_FAULT_RETRY, and that ends the fault."""
    returned: list[object] = []

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())

        @lab.task
        def vcpu() -> None:
            returned.append(lab.touch(mapping))

        @lab.task
        def holder() -> None:
            mmap_read_lock(mapping.mm)
            kill("vcpu")
            mmap_read_unlock(mapping.mm)

    result = explore(Scenario("killed", "A vCPU is killed.", build), write_lock_in_fault.design)

    assert result.verdict == "ok"
    assert set(returned) == {vm_fault_t(0), VM_FAULT_RETRY}


def test_a_lookup_beside_a_lock_for_write_takes_mmap_lock() -> None:
    """While a writer has the VMA, the fault waits for mmap_lock."""

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device())
        (vma,) = mapping.mm.vmas
        lab.always(*RULES)

        @lab.task
        def vcpu() -> None:
            assert not lab.touch(mapping)

        @lab.task
        def madvise() -> None:
            mmap_write_lock(mapping.mm)
            vm_flags_set(vma, VM_NOHUGEPAGE)
            mmap_write_unlock(mapping.mm)

    check(Scenario("advice", "madvise() beside a fault.", build), huge_fault.design)


# ---- return codes


def touch_with(handler: Handler) -> Outcome:
    """Touch the mapping with this fault handler."""
    design = replace(huge_fault.design, name="handler", vm_ops=VmOperations(fault=handler))
    return alone(lambda place: place.lab.touch(place.mapping), design=design)


@pytest.mark.parametrize(
    ("code", "rule"), [(VM_FAULT_SIGBUS, ""), (VM_FAULT_SIGSEGV, "handler_fails_with_sigbus")]
)
def test_sigbus_ends_the_access_and_another_signal_is_wrong(code: vm_fault_t, rule: str) -> None:
    outcome = touch_with(lambda _vmf: code)

    assert (outcome.rule, outcome.returned) == (rule, None if rule else code)


def test_no_handler_is_sigbus() -> None:
    design = replace(huge_fault.design, name="none", vm_ops=VmOperations())

    outcome = alone(lambda place: place.lab.touch(place.mapping), design=design)

    assert outcome.returned == VM_FAULT_SIGBUS


def test_completed_with_the_lock_dropped_is_accepted() -> None:
    def handler(vmf: VmFault) -> object:
        fault = huge_fault.page_fault(vmf)
        mmap_read_unlock(vmf.vma.vm_mm)
        return fault | VM_FAULT_COMPLETED

    outcome = touch_with(handler)

    assert (outcome.rule, outcome.returned) == ("", 0)


def test_retry_with_the_lock_dropped_calls_the_handler_again_with_tried() -> None:
    def handler(vmf: VmFault) -> object:
        if vmf.flags & FAULT_FLAG_TRIED:
            return huge_fault.page_fault(vmf)
        mmap_read_unlock(vmf.vma.vm_mm)
        return VM_FAULT_RETRY

    outcome = touch_with(handler)

    assert (outcome.rule, outcome.returned) == ("", 0)


def handler_that(drops: bool, code: vm_fault_t) -> Handler:
    def handler(vmf: VmFault) -> object:
        if drops:
            mmap_read_unlock(vmf.vma.vm_mm)
        return code

    return handler


@pytest.mark.parametrize(
    ("drops", "code", "evidence"),
    [
        (False, VM_FAULT_RETRY, "VM_FAULT_RETRY with mmap_lock still held."),
        (
            False,
            VM_FAULT_NOPAGE | VM_FAULT_COMPLETED,
            "VM_FAULT_NOPAGE | VM_FAULT_COMPLETED with mmap_lock still held.",
        ),
        (
            True,
            VM_FAULT_NOPAGE,
            "VM_FAULT_NOPAGE means that mm.mmap_lock is held for read; it is not.",
        ),
        (
            True,
            VM_FAULT_SIGBUS,
            "VM_FAULT_SIGBUS means that mm.mmap_lock is held for read; it is not.",
        ),
    ],
)
def test_the_return_code_and_mmap_lock_must_agree(
    drops: bool, code: vm_fault_t, evidence: str
) -> None:
    outcome = touch_with(handler_that(drops, code))

    assert outcome.rule == "mmap_lock_dropped_only_if_allowed"
    assert outcome.evidence == (evidence,)


def test_mmap_lock_for_write_is_not_mmap_lock_for_read() -> None:
    def handler(vmf: VmFault) -> object:
        mmap_read_unlock(vmf.vma.vm_mm)
        mmap_write_lock(vmf.vma.vm_mm)
        return VM_FAULT_NOPAGE

    assert touch_with(handler).rule == "mmap_lock_dropped_only_if_allowed"


@pytest.mark.parametrize("code", [VM_FAULT_RETRY, VM_FAULT_NOPAGE | VM_FAULT_COMPLETED])
@pytest.mark.parametrize("allowed", [False, True])
def test_the_lock_is_dropped_only_with_allow_retry(allowed: bool, code: vm_fault_t) -> None:
    design = replace(
        huge_fault.design, name="drops", vm_ops=VmOperations(fault=handler_that(True, code))
    )

    def task(place: Place) -> None:
        mmap_read_lock(place.mm)
        flags = FAULT_FLAG_ALLOW_RETRY if allowed else FaultFlag(0)
        handle_mm_fault(place.vma, place.vma.vm_start, flags)

    rule = "" if allowed else "mmap_lock_dropped_only_if_allowed"
    assert alone(task, design=design).rule == rule


def test_fallback_is_for_huge_fault_only() -> None:
    outcome = touch_with(lambda _vmf: VM_FAULT_FALLBACK)

    assert outcome.rule == "fallback_only_from_huge_fault"


def test_fallback_of_huge_fault_leads_to_fault() -> None:
    design = replace(
        huge_fault.design,
        name="falls_back",
        vm_ops=VmOperations(
            fault=huge_fault.page_fault, huge_fault=lambda _vmf, _order: VM_FAULT_FALLBACK
        ),
    )

    def code(place: Place) -> list[str]:
        place.lab.touch(place.mapping)
        return [leaf.order.entry for leaf in leaves_seen(place.mm)]

    assert alone(code, design=design, pages=16).returned == ["pte"]


def test_memory_does_not_run_out() -> None:
    assert touch_with(lambda _vmf: VM_FAULT_OOM).rule == "oom_means_no_memory"


@pytest.mark.parametrize("value", [None, 0, True, "VM_FAULT_NOPAGE"])
def test_a_handler_returns_a_fault_code(value: object) -> None:
    with pytest.raises(ModelError, match=r"returned .*; return VM_FAULT_NOPAGE"):
        touch_with(lambda _vmf: value)


def test_a_handler_of_pfns_cannot_promise_a_page() -> None:
    with pytest.raises(ModelError, match="promises a struct page"):
        touch_with(lambda _vmf: vm_fault_t(0))


def test_codes_are_shown_by_their_names() -> None:
    assert show_fault(VM_FAULT_NOPAGE | VM_FAULT_COMPLETED) == (
        "VM_FAULT_NOPAGE | VM_FAULT_COMPLETED"
    )
    assert show_fault(vm_fault_t(0)) == "0"
