"""remap_pfn_range() and vmf_insert_pfn_prot(): what they refuse, and the type they map with."""

from dataclasses import replace

import pytest

from pfnlab.designs import insert_page_on_fault
from pfnlab.kernel import (
    EINVAL,
    PAGE_SIZE,
    PMD_ORDER,
    VM_FAULT_NOPAGE,
    VM_FAULT_OOM,
    VM_FAULT_SIGBUS,
    VM_MIXEDMAP,
    VM_PFNMAP,
    Errno,
    Leaf,
    VfioPciDevice,
    VmOperations,
    remap_pfn_range,
    vm_flags_set,
    vmf_insert_pfn,
    vmf_insert_pfn_prot,
    zap_vma_ptes,
)
from pfnlab.kernel.pagetable import set_leaf
from pfnlab.kernel.vma import VM_PAT, VM_SHARED, VM_WRITE, Vma, vm_flags_clear
from tests.kernel.alone import Place, alone, leaves_seen

PFN = 0x3800000
BASE = 0x7E0000000000


def fresh_vma(place: Place, flags: int = VM_SHARED | VM_WRITE) -> Vma:
    """A VMA of four pages that maps nothing yet."""
    vma = Vma(place.mm, BASE, BASE + 4 * PAGE_SIZE, 0, flags)
    vma.vm_ops = VmOperations()
    return vma


@pytest.mark.parametrize("kernel", ["v6.12", "v6.16"])
def test_a_remap_maps_with_the_reserved_type(kernel: str) -> None:
    def code(place: Place) -> tuple[object, list[str]]:
        vma = fresh_vma(place)
        with place.mm.mmap_lock.write():
            error = remap_pfn_range(vma, vma.vm_start, PFN, vma.size, "WB")
        return error, [leaf.prot for leaf in leaves_seen(place.mm, first=0, last=4, base=BASE)]

    # The bytes asked for WB, the BAR is held UC-: the kernel takes what there is.
    assert alone(code, kernel=kernel).returned == (0, ["UC-"] * 4)


@pytest.mark.parametrize("kernel", ["v6.12", "v6.16"])
def test_a_size_is_rounded_up_to_pages_and_may_be_all_of_a_vma(kernel: str) -> None:
    def code(place: Place) -> tuple[object, int, bool]:
        vma = fresh_vma(place)
        with place.mm.mmap_lock.write():
            error = remap_pfn_range(vma, vma.vm_start, PFN, vma.size - 1, "UC-")
        tracked = vma.pfnmap_track_ctx is not None or bool(vma.vm_flags & VM_PAT)
        return error, len(leaves_seen(place.mm, first=0, last=4, base=BASE)), tracked

    assert alone(code, kernel=kernel).returned == (0, 4, True)


@pytest.mark.parametrize("kernel", ["v6.12", "v6.16"])
def test_uncached_is_not_given_where_write_back_is_reserved(kernel: str) -> None:
    def code(place: Place) -> tuple[object, object]:
        vma = fresh_vma(place)
        with place.mm.mmap_lock.write():
            error = remap_pfn_range(vma, vma.vm_start, PFN, vma.size, "UC-")
        return error, leaves_seen(place.mm, first=0, last=4, base=BASE)

    assert alone(code, kernel=kernel, memtype="WB").returned == (-EINVAL, [])


@pytest.mark.parametrize("kernel", ["v6.12", "v6.16"])
def test_part_of_a_private_mapping_is_refused(kernel: str) -> None:
    def code(place: Place) -> tuple[object, int, list[object]]:
        vma = fresh_vma(place, VM_WRITE)
        with place.mm.mmap_lock.write():
            error = remap_pfn_range(vma, vma.vm_start, PFN, 2 * PAGE_SIZE, "UC-")
        return (
            error,
            vma.vm_flags & VM_PFNMAP,
            list(leaves_seen(place.mm, first=0, last=4, base=BASE)),
        )

    assert alone(code, kernel=kernel).returned == (-EINVAL, 0, [])


def test_all_of_a_private_mapping_keeps_its_pfn_as_its_offset() -> None:
    def code(place: Place) -> tuple[object, int]:
        vma = fresh_vma(place, VM_WRITE)
        with place.mm.mmap_lock.write():
            error = remap_pfn_range(vma, vma.vm_start, PFN, vma.size, "UC-")
        return error, vma.vm_pgoff

    assert alone(code).returned == (0, PFN)


def test_an_address_inside_of_a_page_is_refused() -> None:
    def code(place: Place) -> object:
        vma = fresh_vma(place)
        with place.mm.mmap_lock.write():
            return remap_pfn_range(vma, vma.vm_start + 1, PFN, PAGE_SIZE, "UC-")

    assert alone(code).returned == -EINVAL


def test_a_page_with_a_protection_of_its_own_has_the_reserved_type_all_the_same() -> None:
    def code(place: Place) -> tuple[object, object, list[str]]:
        vma = place.vma
        with place.mm.mmap_lock.read():
            inside = vmf_insert_pfn_prot(vma, vma.vm_start, PFN, "WC")
            outside = vmf_insert_pfn_prot(vma, vma.vm_end, PFN, "WC")
        return inside, outside, [leaf.prot for leaf in leaves_seen(place.mm)]

    assert alone(code).returned == (VM_FAULT_NOPAGE, VM_FAULT_SIGBUS, ["UC-"])


def test_a_private_mapping_takes_no_inserts() -> None:
    def code(place: Place) -> None:
        with place.mm.mmap_lock.write():
            vm_flags_clear(place.vma, VM_SHARED)
            vmf_insert_pfn_prot(place.vma, place.vma.vm_start, PFN, "UC-")

    outcome = alone(code)

    assert outcome.rule == "insert_into_a_pfn_mapping"
    assert outcome.evidence == ("vma 7f0000000000 is private and writable.",)


def test_a_page_whose_slot_is_taken_is_no_error_and_one_under_a_larger_leaf_is_oom() -> None:
    """The second finds no table, and that means to the kernel that there is no memory for one."""

    def code(place: Place) -> tuple[object, ...]:
        vma = place.vma
        with place.mm.mmap_lock.read():
            first = vmf_insert_pfn(vma, vma.vm_start, PFN)
            again = vmf_insert_pfn(vma, vma.vm_start, PFN)
            addr = vma.vm_start + (PAGE_SIZE << PMD_ORDER)
            set_leaf(vma, Leaf(PMD_ORDER, addr, PFN + (1 << PMD_ORDER), "UC-"))
            under = vmf_insert_pfn(vma, addr + PAGE_SIZE, PFN)
        return first, again, under

    nopage = VM_FAULT_NOPAGE
    assert alone(code, pages=2 << PMD_ORDER).returned == (nopage, nopage, VM_FAULT_OOM)


@pytest.mark.parametrize(
    ("flags", "beyond", "left"),
    [(VM_PFNMAP, 0, 0), (VM_PFNMAP, PAGE_SIZE, 1), (VM_MIXEDMAP, 0, 1)],
)
def test_zap_vma_ptes_is_for_ranges_of_a_pfn_map_and_else_does_nothing(
    flags: int, beyond: int, left: int
) -> None:
    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        vm_flags_set(vma, flags)
        return 0

    def code(place: Place) -> int:
        place.lab.touch(place.mapping)
        with place.mm.mmap_lock.read():
            zap_vma_ptes(place.vma, place.vma.vm_start, place.vma.size + beyond)
        return len(leaves_seen(place.mm))

    design = replace(insert_page_on_fault.design, name="flags", mmap=mmap)
    assert alone(code, design=design).returned == left
