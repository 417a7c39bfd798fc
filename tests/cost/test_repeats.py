"""Designs with lengths of their own: counted page by page, or refused, and never wrong."""

from dataclasses import replace

import pytest

from pfnlab import Design, ModelError
from pfnlab.catalogue import all_designs
from pfnlab.cost.estimate import DoesNotRepeat, cost
from pfnlab.cost.repeats import (
    COMPARED,
    beginning,
    counted,
    must_repeat,
    writes_sizes_as_numbers,
)
from pfnlab.cost.simulate import Setting
from pfnlab.cost.words import make_workload
from pfnlab.designs import huge_fault
from pfnlab.kernel import (
    PAGE_SHIFT,
    PAGE_SIZE,
    PMD_ORDER,
    PUD_ORDER,
    VM_FAULT_FALLBACK,
    VM_FAULT_NOPAGE,
    VmFault,
    VmOperations,
    align_down,
    vmf_insert_pfn,
)
from pfnlab.kernel.geometry import GiB, KiB, MiB
from pfnlab.kernel.profile import find_kernel
from pfnlab.workload import Bar, Touch, Window, Workload

ADDRESS, BAR = 0x7F0000000000, 0x380000000000
KERNEL = find_kernel("v7.3")


def with_window(pages: int) -> Design:
    """A handler that fills so many pages around a fault."""

    def fault(vmf: VmFault) -> int:
        vma = vmf.vma
        vdev = vma.vm_private_data
        first = align_down(vmf.address, pages * PAGE_SIZE)
        pfn = vdev.bar_pfn(vma.vm_pgoff)
        with vdev.memory_lock.read():
            start = max(first, vma.vm_start)
            for address in range(start, min(first + pages * PAGE_SIZE, vma.vm_end), PAGE_SIZE):
                vmf_insert_pfn(vma, address, pfn + (address - vma.vm_start >> PAGE_SHIFT))
        return VM_FAULT_NOPAGE

    return replace(huge_fault.design, name="windows", vm_ops=VmOperations(fault=fault))


def with_size_as_a_number(vmf: VmFault, order: int) -> int:
    if order == PUD_ORDER or (order == PMD_ORDER and vmf.vma.size < 2 * MiB):
        return VM_FAULT_FALLBACK
    return huge_fault.huge_fault(vmf, order)


def workload(size: int, words: str = "touch") -> Workload:
    return make_workload(Bar(size, BAR), Window(size, address=ADDRESS), words)


@pytest.mark.parametrize(
    ("pages", "size"),
    [(16, 64 * KiB), (16, 9 * MiB), (4, 64 * KiB), (3, 64 * KiB), (512, 12 * MiB)],
)
def test_a_window_around_a_fault_is_counted_as_it_is(pages: int, size: int) -> None:
    found = counted(workload(size), Setting(with_window(pages), KERNEL))

    total = size // PAGE_SIZE
    # Windows are aligned to addresses, and this one begins at a multiple of all but 3 pages.
    first = -(ADDRESS // PAGE_SIZE) % pages
    assert found.total.faults == bool(first) + -(-(total - first) // pages)
    assert found.most_leaves["leaves pte"] == total


A_NUMBER = replace(
    huge_fault.design,
    name="a_number",
    vm_ops=VmOperations(fault=huge_fault.page_fault, huge_fault=with_size_as_a_number),
)


def test_a_size_that_is_a_number_is_counted_as_it_is() -> None:
    assert counted(workload(64 * MiB), Setting(A_NUMBER, KERNEL)).total.faults == 32


@pytest.mark.parametrize("design", [*all_designs().values(), A_NUMBER], ids=lambda each: each.name)
def test_a_size_that_is_a_number_shows_in_small_tables(design: Design) -> None:
    assert writes_sizes_as_numbers(Setting(design, KERNEL)) == (design is A_NUMBER)


def test_what_is_too_large_to_be_counted_page_by_page_is_refused() -> None:
    with pytest.raises(ModelError, match=r"windows, which looks at more than edges, .* too many"):
        counted(workload(8 * GiB), Setting(with_window(16), KERNEL))


def test_parts_that_do_not_tell_the_whole_are_an_error() -> None:
    must_repeat(workload(64 * GiB), Setting(huge_fault.design, KERNEL))
    with pytest.raises(DoesNotRepeat, match="windows: the count of 'calls pte' does not grow"):
        must_repeat(workload(64 * GiB), Setting(with_window(16), KERNEL))


@pytest.mark.parametrize("words", ["touch,zap,10%", "map_dma", "middle,fork,child", "touch,mremap"])
def test_a_design_that_repeats_is_counted_as_any(words: str) -> None:
    asked = workload(9 * MiB, words)
    setting = Setting(huge_fault.design, KERNEL)

    assert counted(asked, setting).steps == cost(asked, setting).steps


def test_the_beginning_of_a_workload_is_as_the_whole_but_shorter() -> None:
    asked = workload(1 * GiB, "50%,middle,touch")
    begun = beginning(asked)

    assert [window.size for window in begun.windows] == [COMPARED]
    touches = [step.actions[0] for step in begun.steps]
    half = COMPARED // 2
    assert touches == [Touch(end=half), Touch(start=half, end=half + PAGE_SIZE), Touch()]
    assert beginning(begun) == begun


def test_a_bar_that_lies_low_is_no_memory_to_type1() -> None:
    low = make_workload(Bar(8 * MiB, 4 * GiB), Window(8 * MiB, address=ADDRESS), "map_dma,mremap")
    (_map, mapped, _moved) = cost(low, Setting(huge_fault.design, KERNEL)).steps

    assert mapped.event("map_dma -EFAULT") == 0
    assert mapped.faults == 4


def test_a_window_does_not_move_out_of_user_space() -> None:
    window = Window(8 * MiB, address=(1 << 47) - 512 * MiB)
    high = make_workload(Bar(8 * MiB, BAR), window, "mremap")

    with pytest.raises(ModelError, match="where user space does"):
        cost(high, Setting(huge_fault.design, KERNEL))
