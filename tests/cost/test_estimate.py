"""What is counted in parts is what is counted in full, and what others have published."""

import time
from dataclasses import replace
from random import Random

import pytest

from pfnlab import ModelError
from pfnlab.catalogue import all_designs, find_design
from pfnlab.cost.estimate import estimate, make_plan
from pfnlab.cost.shape import Shape
from pfnlab.cost.simulate import Setting
from pfnlab.kernel import (
    PAGE_SIZE,
    VM_FAULT_NOPAGE,
    VmFault,
    down_read_trylock,
    vm_fault_t,
    vmf_insert_pfn,
    zap_vma_ptes,
)
from pfnlab.kernel.geometry import REAL, Geometry, GiB, KiB, MiB, TiB
from pfnlab.kernel.profile import KERNELS, find_kernel
from pfnlab.workload import Bar, Memory, Munmap, Step, Touch, Window, Workload
from tests.cost.asking import asked
from tests.cost.workloads import (
    counted_in_full,
    counted_in_parts,
    random_workload,
    without_pud_tables,
)

SMALL = (Geometry(2), Geometry(3), Geometry(3, 2), Geometry(2, 3))
DESIGNS = list(all_designs())


def compare(seed: int, geometry: Geometry | None = None, most: int = 0) -> None:
    random = Random(seed)
    geometry = geometry or random.choice(SMALL)
    workload = random_workload(random, geometry, most or random.choice([10, 100, 300]))
    design = find_design(random.choice(DESIGNS))
    kernel = random.choice([design.kernel] * 3 + list(KERNELS))
    thp = random.choice(["always", "always", "madvise", "never"])
    setting = Setting(design, find_kernel(kernel), thp)  # type: ignore[arg-type]
    try:
        full = counted_in_full(workload, setting, geometry)
    except ModelError:  # remap_on_enable and its like spin where a fork has left a VMA empty
        with pytest.raises(ModelError):
            counted_in_parts(workload, setting, geometry)
        return

    parts = counted_in_parts(workload, setting, geometry)

    assert [without_pud_tables(step) for step in parts.steps] == full


def test_counting_in_parts_is_counting_in_full_for_one_workload() -> None:
    compare(3, Geometry(2), 20)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(200))
def test_counting_in_parts_is_counting_in_full(seed: int) -> None:
    compare(seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1000, 1012))
def test_counting_in_parts_is_counting_in_full_with_tables_of_512(seed: int) -> None:
    compare(seed, REAL, 1_500)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(12))
def test_huge_leaves_up_to_1_gib_are_counted_as_in_full(seed: int) -> None:
    """Touched once in each 2 MiB, so that it can be done in full; odd edges and offsets."""
    random = Random(seed)
    pages = random.randrange(1, GiB // 4096)
    offset = random.randrange(GiB // 4096) // (step := random.choice([1, 512])) * step
    apart = random.choice([0, 0, 512, 1])
    window = Window(pages * 4096, offset * 4096, 0x7E0000000000 + (offset + apart) * 4096)
    touch = Step("touch", (Touch(every="pmd", direction=random.choice(["forward", "backward"])),))
    workload = Workload(Bar(2 * GiB, 64 * GiB), (window,), (touch,))
    setting = Setting(find_design("huge_fault"), find_kernel("v7.3"))

    parts = counted_in_parts(workload, setting, REAL)

    assert [without_pud_tables(step) for step in parts.steps] == counted_in_full(
        workload, setting, REAL
    )


@pytest.mark.slow
@pytest.mark.parametrize("design", ["remap_on_fault", "huge_fault"])
def test_1_gib_is_counted_as_in_full_page_by_page(design: str) -> None:
    """262,144 pages in one fault, or in one for each 2 MiB; then memory goes off."""
    window = Window(GiB - 8 * KiB, 8 * KiB, 0x7E0000202000)
    touch = Touch(every="pmd" if design == "huge_fault" else "pud")
    steps = (Step("touch", (touch,)), Step("off", (Memory(False),)))
    workload = Workload(Bar(GiB, 64 * GiB), (window,), steps)
    setting = Setting(find_design(design), find_kernel("v6.1"))

    parts = counted_in_parts(workload, setting, REAL)

    assert [without_pud_tables(step) for step in parts.steps] == counted_in_full(
        workload, setting, REAL
    )


@pytest.mark.slow
def test_the_first_published_mapping_comes_out_to_the_last_fault() -> None:
    step = asked(0xDF9E00000, offset=0x6000000, bar_size=128 * GiB).step("touch")

    assert step.event("calls pmd") == step.state["leaves pmd"] == 975
    assert step.state["leaves pud"] == 54
    assert step.event("calls pud") == 54 + 2
    assert step.fallbacks == step.event("fallbacks pud") == 2
    assert "leaves pte" not in step.state


def test_the_second_published_mapping_has_exactly_its_leaves() -> None:
    step = asked(32 * GiB, vma="0x7fdac0600000", offset=0x600000, bar_size=64 * GiB).step("touch")

    assert (step.state["leaves pmd"], step.state["leaves pud"]) == (512, 31)
    assert step.fallbacks == 2


@pytest.mark.slow
def test_a_neighbour_that_was_touched_before_explains_the_one_fallback_that_was_traced() -> None:
    windows = (
        Window(32 * GiB, 0x600000, 0x7FDAC0600000),
        Window(0x600000, 0, 0x7FDAC0000000),
    )
    steps = (Step("neighbour", (Touch(1),)), Step("touch", (Touch(0),)))
    workload = Workload(Bar(64 * GiB, 64 * GiB), windows, steps)
    setting = Setting(find_design("huge_fault"), find_kernel("v7.3"))

    step = estimate(make_plan(Shape(workload)), setting).step("touch")

    assert step.event("installed pmd") == 512
    assert step.event("installed pud") == 31
    assert step.fallbacks == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("vma", "faults"),
    [("0x7f0000001000", 524_288), ("0x7f0000200000", 1_024), ("0x7f0000000000", 2)],
)
def test_2_gib_fault_as_often_as_published(vma: str, faults: int) -> None:
    assert asked(2 * GiB, vma=vma).step("touch").faults == faults


# BAR, PTEs, tables of them, KiB of all tables; PMD leaves, KiB; PUD leaves, KiB.
TABLE = [
    (256 * MiB, 65_536, 128, 520, 128, 8, 0, 0),
    (1 * GiB, 262_144, 512, 2_056, 512, 8, 1, 4),
    (2 * GiB, 524_288, 1_024, 4_108, 1_024, 12, 2, 4),
    (8 * GiB, 2_097_152, 4_096, 16_420, 4_096, 36, 8, 4),
    (16 * GiB, 4_194_304, 8_192, 32_836, 8_192, 68, 16, 4),
    (32 * GiB, 8_388_608, 16_384, 65_668, 16_384, 132, 32, 4),
    (64 * GiB, 16_777_216, 32_768, 131_332, 32_768, 260, 64, 4),
    (80 * GiB, 20_971_520, 40_960, 164_164, 40_960, 324, 80, 4),
    (128 * GiB, 33_554_432, 65_536, 262_660, 65_536, 516, 128, 4),
    (256 * GiB, 67_108_864, 131_072, 525_316, 131_072, 1_028, 256, 4),
    (512 * GiB, 134_217_728, 262_144, 1_050_628, 262_144, 2_052, 512, 4),
]
# Address and pfn agree modulo 2 MiB only, and the window still begins at a table.
PMD_ONLY = {"vma": "0x7f0000000000", "bar_address": 2 * TiB + 2 * MiB}


@pytest.mark.slow
@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row[0] // MiB}M")
def test_leaves_and_tables_of_an_aligned_bar_are_as_calculated(row: tuple[int, ...]) -> None:
    size, ptes, pte_tables, pte_kib, pmds, pmd_kib, puds, pud_kib = row
    by_page = asked(size, "insert_page_on_fault").step("touch")
    by_pmd = asked(size, **PMD_ONLY).step("touch")  # type: ignore[arg-type]
    by_pud = asked(size).step("touch")

    assert by_page.state["leaves pte"] == by_page.faults == ptes
    assert by_page.state["tables pte"] == pte_tables
    assert by_page.table_bytes == pte_kib * KiB
    assert by_pmd.state["leaves pmd"] == by_pmd.faults == pmds
    assert by_pmd.table_bytes == pmd_kib * KiB
    if puds:
        assert by_pud.state["leaves pud"] == by_pud.faults == puds
        assert by_pud.table_bytes == pud_kib * KiB
    else:
        assert by_pud.state["leaves pmd"] == pmds


@pytest.mark.slow
def test_the_cost_of_counting_does_not_grow_with_the_size() -> None:
    """The same number of samples and of pages in them, from 4 GiB to 64 TiB."""
    work = {
        size: (found.samples, found.pages)
        for size in (4 * GiB, 64 * GiB, TiB, 64 * TiB)
        for found in [asked(size, "insert_page_on_fault", vma="0x100000001000", words="touch,zap")]
    }

    assert len(set(work.values())) == 1
    assert all(pages < 1_000 for _samples, pages in work.values())


@pytest.mark.slow
def test_1_tib_of_every_design_takes_less_than_2_seconds() -> None:
    """Of this process: the machine may be busy."""
    start = time.process_time()
    for name in DESIGNS:
        assert asked(TiB, name, words="touch,zap").step("touch").tables
    assert time.process_time() - start < 2.0


@pytest.mark.slow
def test_a_zap_leaves_the_tables_and_munmap_none() -> None:
    found = asked(64 * GiB, "remap_on_fault", words="touch,zap,munmap")

    assert found.step("touch").tables == found.step("zap").tables == 32_768 + 64 + 1
    assert "leaves pte" not in found.step("zap").state
    assert found.step("munmap").tables == 0


@pytest.mark.slow
def test_a_step_that_is_done_often_costs_as_much_each_time() -> None:
    once = asked(GiB, "insert_page_on_fault", words="touch,zap+touch").steps[2]
    often = asked(GiB, "insert_page_on_fault", words="touch,100*zap+touch").steps[2]

    assert {name: 100 * count for name, count in once.events.items()} == often.events


@pytest.mark.slow
def test_a_fork_copies_every_leaf_and_table() -> None:
    found = asked(4 * GiB, "insert_page_on_fault", words="touch,fork,child")

    assert found.step("fork").event("copied pte") == 1_048_576
    assert found.step("fork").state["child tables pte"] == 2_048
    assert found.step("fork").state["child tables pud"] == 1
    assert found.step("child").faults == 0
    assert asked(4 * GiB, words="touch,fork").step("fork").event("copied pud") == 4


def pud_tables(*arguments: int | str, **options: str) -> list[tuple[int, int]]:
    """Those of the process and of its child, after each step but the first."""
    steps = asked(*arguments, **options).steps[1:]  # type: ignore[arg-type]
    names = ("tables pud", "child tables pud")
    return [(step.state.get(names[0], 0), step.state.get(names[1], 0)) for step in steps]


def test_a_zap_and_the_munmap_of_the_parent_leave_the_child_its_table_of_puds() -> None:
    assert pud_tables(8 * MiB, "remap_on_fault", words="touch,fork,munmap") == [
        (1, 0), (1, 1), (0, 1),
    ]  # fmt: skip
    assert pud_tables(GiB, words="touch,fork,zap,munmap") == [(1, 0), (1, 1), (1, 1), (0, 1)]


def test_a_child_has_the_tables_of_puds_that_it_copied_or_used() -> None:
    assert pud_tables(GiB, words="fork,touch,child") == [(0, 0), (1, 0), (1, 1)]
    assert pud_tables(GiB, words="touch,zap,fork") == [(1, 0), (1, 0), (1, 1)]
    assert pud_tables(TiB, words="first,fork,child") == [(1, 0), (1, 1), (1, 2)]


def test_a_leaf_that_is_gone_before_the_step_ends_has_left_its_table_of_puds() -> None:
    assert pud_tables(GiB, words="touch+zap") == [(1, 0)]


def test_tables_of_puds_go_with_the_last_window_in_them() -> None:
    below, above = Window(GiB, 0, 0x7F7FC0000000), Window(GiB, GiB, 0x7F8000000000)
    steps = (
        Step("touch", (Touch(0), Touch(1))),
        Step("munmap 0", (Munmap(0),)),
        Step("munmap 1", (Munmap(1),)),
    )
    setting = Setting(find_design("huge_fault"), find_kernel("v7.3"))
    beside = replace(above, address=0x7F0000000000)
    for other, left in ((above, [2, 1, 0]), (beside, [1, 1, 0])):
        workload = Workload(Bar(2 * GiB, 64 * GiB), (below, other), steps)
        found = estimate(make_plan(Shape(workload)), setting).steps[1:]
        assert [step.state.get("tables pud", 0) for step in found] == left


def test_a_mapping_that_moves_to_another_512_gib_takes_its_table_of_puds_along() -> None:
    assert pud_tables(2 * MiB, kernel="v6.12", vma="0x7f7fffe00000", words="touch,mremap") == [
        (1, 0), (1, 0),
    ]  # fmt: skip


@pytest.mark.slow
def test_type1_looks_up_every_page_until_it_learnt_to_go_by_leaf() -> None:
    old = asked(32 * GiB, kernel="v6.12", words="touch,map_dma").step("map_dma")
    new = asked(32 * GiB, kernel="v7.3", words="touch,map_dma").step("map_dma")

    assert (old.event("lookups"), new.event("lookups")) == (8_388_608, 32)
    assert old.event("iommu_map") == new.event("iommu_map") == 1
    assert old.event("iommu_map pages") == 8_388_608


@pytest.mark.slow
def test_locks_flushes_and_memtypes_are_counted() -> None:
    step = asked(GiB, "insert_page_on_fault", words="touch,zap").step("touch")
    zap = asked(GiB, "insert_page_on_fault", words="touch,zap").step("zap")

    assert step.event("lock VfioPciDevice.memory_lock read") == 262_144
    assert step.event("lock Mm.mmap_lock read") == 262_144
    assert step.event("memtype_lookups") == 262_144
    assert zap.event("tlb flushes") == 1
    assert zap.event("cleared pte") == 262_144
    remapped = asked(GiB, "remap_on_fault", words="touch,zap")
    assert remapped.step("touch").event("memtype_reserve") == 1
    assert remapped.step("zap").event("memtype_free") == 1


def test_mmap_lock_is_counted_once_where_a_writer_takes_it() -> None:
    """Its writers queue; that is a step of its own only where they have to wait."""
    words = "touch,fork,mremap,munmap"
    found = asked(64 * KiB, "write_lock_in_fault", words=words).steps

    writes = {step.name: step.event("lock Mm.mmap_lock write") for step in found}
    assert writes == {"map": 1, "touch": 1, "fork": 2, "mremap": 1, "munmap": 1}
    assert found[1].event("lock Mm.mmap_lock read") == 1
    assert found[1].event("locks") == 4


def test_a_trylock_that_fails_takes_no_lock() -> None:
    base = find_design("insert_page_on_fault")
    fault = base.vm_ops.fault
    assert fault is not None

    def tries_in_vain(vmf: VmFault) -> vm_fault_t:
        lock = vmf.vma.vm_private_data.memory_lock
        with lock.write():
            assert not down_read_trylock(lock)
        return fault(vmf)

    design = replace(base, name="tries", vm_ops=replace(base.vm_ops, fault=tries_in_vain))
    window = Window(4 * KiB, 0, 0x7F0000000000)
    workload = Workload(Bar(4 * KiB, GiB), (window,), (Step("touch", (Touch(),)),))

    step = estimate(make_plan(Shape(workload)), Setting(design, find_kernel("v6.10"))).step("touch")

    assert step.event("lock VfioPciDevice.memory_lock write") == 1
    assert step.event("lock VfioPciDevice.memory_lock read") == 1  # of the handler, afterwards


@pytest.mark.slow
def test_the_order_of_touches_matters_to_a_design_that_does_not_round_down() -> None:
    forward = asked(GiB, "huge_fault_unaligned", words="touch").step("touch")
    scattered = asked(GiB, "huge_fault_unaligned", words="random").step("random")
    mended = asked(GiB, "huge_fault", words="random").step("random")

    assert (forward.faults, scattered.faults, mended.faults) == (1, 262_144, 1)


def test_a_count_that_does_not_repeat_is_an_error() -> None:
    """A handler that counts something else than edges, alignment and slots."""

    def triangular(vmf: VmFault) -> vm_fault_t:
        vma = vmf.vma
        for address in range(vma.vm_start, vmf.address, PAGE_SIZE):
            vmf_insert_pfn(vma, address, vma.vm_private_data.bar_pfn(vma.vm_pgoff))
        fault = vmf_insert_pfn(vma, vmf.address, vma.vm_private_data.bar_pfn(vmf.pgoff))
        assert fault == VM_FAULT_NOPAGE
        return fault

    base = find_design("insert_page_on_fault")
    design = replace(base, name="triangular", vm_ops=replace(base.vm_ops, fault=triangular))
    window = Window(GiB, 0, 0x7F0000000000)
    workload = Workload(Bar(GiB, 64 * GiB), (window,), (Step("touch", (Touch(),)),))

    with pytest.raises(ModelError, match=r"triangular: the count of .* does not grow"):
        estimate(make_plan(Shape(workload)), Setting(design, find_kernel("v6.10")))


def test_a_mapping_that_moves_takes_its_leaves_along() -> None:
    found = asked(64 * MiB, "huge_fault", "v6.12", words="touch,mremap,touch,munmap")

    assert [step.faults for step in found.steps] == [0, 32, 0, 0, 0]
    assert [step.tables for step in found.steps] == [0, 2, 2, 2, 0]
    assert found.step("mremap").state["leaves pmd"] == 32


def test_a_mapping_that_moves_is_counted_page_by_page_so_it_must_be_small() -> None:
    with pytest.raises(ModelError, match="page by page, and 16,777,216 pages are too many"):
        asked(64 * GiB, "huge_fault", "v6.12", words="touch,mremap")


def most(words: str, design: str = "huge_fault", **options: str) -> tuple[dict[str, int], int]:
    """Leaves when there are most, and KiB of tables when there are most."""
    found = asked(304 * MiB, design, words=words, **options)
    leaves = {
        name.removeprefix("leaves "): count
        for name, count in found.most_leaves.items()
        if name.startswith("leaves ")
    }
    return leaves, found.most_table_bytes // KiB


@pytest.mark.parametrize("words", ["touch", "touch,zap", "touch+zap", "10*touch+zap", "zap+touch"])
def test_the_most_leaves_are_those_at_their_peak_also_within_a_step(words: str) -> None:
    assert most(words) == ({"pmd": 152}, 8)


def test_the_most_tables_are_those_at_their_peak_also_within_a_step() -> None:
    assert most("touch+munmap") == most("touch,munmap") == ({"pmd": 152}, 8)
    assert most("touch+zap+munmap", "insert_page_on_fault") == ({"pte": 77_824}, 616)
    assert asked(GiB, words="touch+munmap").most_table_bytes == 4 * KiB  # that of the PUDs


def test_the_most_leaves_are_not_those_of_a_sample() -> None:
    """A page of each 2 MiB maps more than the first tenth, whichever a small sample says."""
    small = {"pte": 152}
    assert most("every-2M+zap+first", "insert_page_on_fault")[0] == small
    assert most("first+zap+every-2M", "insert_page_on_fault")[0] == small
    assert most("10%+zap+every-2M", "insert_page_on_fault")[0] == {"pte": 7_783}


def test_rounds_that_differ_from_one_size_to_another_are_an_error() -> None:
    """A handler that zaps now and then, by what the VMA has had before."""
    base = find_design("insert_page_on_fault")
    fault = base.vm_ops.fault
    assert fault is not None
    calls = []

    def changing(vmf: VmFault) -> vm_fault_t:
        calls.append(vmf.address)
        if len(calls) % 7 == 0:
            zap_vma_ptes(vmf.vma, vmf.vma.vm_start, vmf.vma.size)
        return fault(vmf)

    design = replace(base, name="changing", vm_ops=replace(base.vm_ops, fault=changing))
    window = Window(GiB, 0, 0x7F0000000000)
    step = Step("touch", (Memory(False), Memory(True), Touch()), 40)
    workload = Workload(Bar(GiB, 64 * GiB), (window,), (step,))

    with pytest.raises(ModelError, match="changing: the count of"):
        estimate(make_plan(Shape(workload)), Setting(design, find_kernel("v6.10")))
