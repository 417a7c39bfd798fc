"""The cause that is named is the one that is there."""

from dataclasses import replace
from itertools import pairwise

import pytest

from pfnlab.catalogue import find_design
from pfnlab.cost.estimate import candidates
from pfnlab.cost.explain import Explanation, Range, explain, reason
from pfnlab.cost.request import make_bar, place_window
from pfnlab.cost.shape import FOLDED_ADDRESS, Shape
from pfnlab.cost.simulate import Run, Setting
from pfnlab.kernel.geometry import GiB, KiB, MiB
from pfnlab.kernel.profile import find_kernel
from pfnlab.workload import Advice, Bar, Step, ThpPolicy, Touch, Window, Workload

Found = list[tuple[int, int, str]]  # level, leaves, why


def explained(
    size: int,
    kernel: str = "v7.3",
    vma: str = "best",
    *,
    design: str = "huge_fault",
    offset: int = 0,
    thp: ThpPolicy = "always",
    advice: Advice = "",
    bar_size: int | None = None,
    before: tuple[Window, ...] = (),
) -> Explanation:
    setting = Setting(find_design(design), find_kernel(kernel), thp)
    bar = make_bar(size, offset, bar_size, None)
    return explain(
        bar, place_window(bar, size, offset, vma, setting.kernel, advice), setting, before
    )


def found(explanation: Explanation) -> Found:
    return [(part.level, part.leaves, part.why) for part in explanation.ranges]


def test_an_aligned_bar_is_huge_and_nothing_is_in_its_way() -> None:
    assert found(explained(4 * GiB)) == [(2, 4, "")]


@pytest.mark.slow
def test_the_thp_policy_is_the_cause_on_6_12() -> None:
    assert found(explained(GiB, "v6.12", thp="madvise")) == [(0, 262_144, "policy")]
    assert found(explained(GiB, "v6.12", thp="madvise", advice="hugepage")) == [(2, 1, "")]
    assert found(explained(GiB, "v7.3", thp="madvise")) == [(2, 1, "")]


def test_the_advice_of_the_program_is_a_cause_everywhere() -> None:
    assert found(explained(GiB, advice="nohugepage")) == [(0, 262_144, "nohugepage")]


@pytest.mark.slow
def test_an_unaligned_address_is_the_cause_on_7_3() -> None:
    explanation = explained(4 * GiB, vma="natural")

    assert found(explanation) == [
        (0, 61, "starts"),
        (0, 1_048_064, "alignment"),
        (0, 451, "ends"),
    ]
    assert explanation.best == 0x7F0000000000
    assert explanation.best_cost.step("touch 0").state["leaves pud"] == 4


@pytest.mark.slow
def test_the_address_that_6_12_picks_is_good_for_2_mib() -> None:
    levels = {part.level for part in explained(4 * GiB, "v6.12", "natural").ranges}

    assert levels == {1}


@pytest.mark.slow
def test_a_window_at_an_odd_offset_is_the_cause() -> None:
    """mmap() at offset 4 KiB and an aligned address."""
    explanation = explained(GiB, vma="0x7f0000000000", offset=4 * KiB, bar_size=2 * GiB)

    assert found(explanation) == [(0, 262_144, "alignment")]
    assert found(explained(GiB, offset=4 * KiB, bar_size=2 * GiB)) == [
        (0, 511, "starts"),
        (1, 511, "starts"),
        (0, 1, "ends"),
    ]


@pytest.mark.slow
def test_a_hole_of_the_bar_is_an_edge_of_the_window() -> None:
    explanation = explained(256 * MiB - 12 * KiB, offset=12 * KiB)

    assert found(explanation) == [(0, 509, "starts"), (1, 127, "starts")]
    assert explanation.ranges[0].edge == 0x7F0000003000


@pytest.mark.slow
def test_a_second_mapping_of_a_part_that_begins_in_the_same_1_gib() -> None:
    first = Window(0x600000, 0, 0x7FDAC0000000)
    explanation = explained(
        32 * GiB, vma="0x7fdac0600000", offset=0x600000, bar_size=64 * GiB, before=(first,)
    )

    assert found(explanation) == [(1, 509, "starts"), (2, 31, ""), (1, 3, "ends")]


@pytest.mark.slow
def test_a_second_mapping_of_a_part_elsewhere_disagrees_with_the_pfn() -> None:
    first = Window(4 * GiB, 0, 0x7E0000000000)
    explanation = explained(
        64 * MiB, vma="0x7f0000000000", offset=4 * KiB, bar_size=4 * GiB, before=(first,)
    )

    assert found(explanation) == [(0, 16_384, "alignment")]


@pytest.mark.parametrize(("size", "offset"), [(4 * MiB, 4 * KiB), (GiB, 2 * MiB)])
def test_an_address_is_no_better_for_larger_leaves_of_wrong_pages(size: int, offset: int) -> None:
    wrong = explained(
        size, vma="0x7f0000000000", offset=offset, bar_size=8 * GiB, design="huge_fault_unaligned"
    )
    right = explained(
        size, vma=hex(wrong.best), offset=offset, bar_size=8 * GiB, design="huge_fault_unaligned"
    )

    assert all(part.wrong for part in wrong.ranges)
    assert wrong.best == 0x7F0000000000 + offset
    assert not any(part.wrong for part in right.ranges)
    assert (wrong.elsewhere_is_better, right.elsewhere_is_better) == (True, False)


@pytest.mark.parametrize("thp", ["madvise", "never"])
def test_what_is_best_is_told_as_if_the_policy_let_it(thp: ThpPolicy) -> None:
    explanation = explained(4 * GiB, "v6.12", "natural", thp=thp)

    assert found(explanation) == [(0, 1_048_576, "policy")]
    assert explanation.allowed is not None
    assert explanation.allowed.steps[-1].state["leaves pmd"] == 2_048
    assert explanation.elsewhere_is_better
    assert explanation.best_cost.steps[-1].state["leaves pud"] == 4
    assert explained(4 * GiB, "v7.3", "natural", thp=thp).allowed is None


def test_a_slot_that_holds_a_table_is_a_cause_of_its_own() -> None:
    """Touched under one policy, and asked about under another."""
    setting = Setting(find_design("huge_fault"), find_kernel("v6.12"), "always")
    off = replace(setting, thp="never")
    window = Window(2 * MiB, 0, 0x7F0000000000)
    shape = Shape(Workload(Bar(GiB, GiB), (window,), (Step("touch", (Touch(),)),)))
    layout = next(candidates(shape))
    folded = shape.folded(layout)
    run = Run(folded, off, layout.geometry)  # 4 KiB leaves, by a policy that has changed since

    assert reason(run, setting, folded.windows[0], FOLDED_ADDRESS, 0, layout) == ("table", 0)


@pytest.mark.parametrize(
    ("design", "why"),
    [("insert_page_on_fault", "design"), ("remap_on_fault", "design"), ("remap_on_mmap", "design")],
)
def test_a_design_without_huge_fault_is_the_cause(design: str, why: str) -> None:
    assert found(explained(64 * MiB, design=design)) == [(0, 16_384, why)]


@pytest.mark.slow
def test_ranges_cover_the_window() -> None:
    parts: tuple[Range, ...] = explained(5 * GiB, vma="natural", bar_size=8 * GiB).ranges

    assert parts[0].start == explained(5 * GiB, vma="natural", bar_size=8 * GiB).window.address
    assert all(a.end == b.start for a, b in pairwise(parts))
    assert sum(part.end - part.start for part in parts) == 5 * GiB
