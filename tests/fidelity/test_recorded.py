"""What real kernels did, on file, beside the model: every difference is known and explained."""

from pathlib import Path

import pytest

from pfnlab.catalogue import find_design
from pfnlab.fidelity.cases import cases
from pfnlab.fidelity.compare import Comparison, compare
from pfnlab.fidelity.saved import load
from pfnlab.kernel.profile import profile_for

FOLDER = Path(__file__).parent.parent / "data" / "measured"
FILES = sorted(FOLDER.glob("*.json"))
RUNS = {
    "6.1.192": ("remap_on_fault", "v6.1.192"),
    "6.12.95": ("huge_fault", "v6.12"),
    "6.12.117": ("huge_fault", "v6.12.117"),
    "6.18.15": ("huge_fault", "v6.16"),
    "7.3.4": ("huge_fault", "v7.3"),
}
# docs/fidelity.md says why.  Case, step, count, kernel, model.
NEIGHBOURS = "sweep, place natural"
BEFORE = {("map", "tables pmd", 1, 0), ("map", "tables pte", 1, 0)}
NO_PUD = {("first", "calls pud", 0, 1), ("first", "fallbacks pud", 0, 1)}
NO_PMD = {("first", "tables pte", 2, 1), ("touch", "calls pmd", 62, 64),
          ("touch", "fallbacks pmd", 62, 64)}  # fmt: skip
EXPLAINED = {
    "6.1.192": {NEIGHBOURS: BEFORE, "MAP_DMA, off": {("map_dma", "tables pmd", 1, 0)}},
    "6.12.95": {NEIGHBOURS: {("map", "tables pmd", 1, 0)} | NO_PUD},
    "6.12.117": {NEIGHBOURS: {("map", "tables pmd", 1, 0)} | NO_PUD},
    "6.18.15": {NEIGHBOURS: BEFORE | NO_PUD | NO_PMD},
    "7.3.4": {NEIGHBOURS: BEFORE | NO_PUD | NO_PMD},
}


def comparisons(path: Path) -> list[Comparison]:
    design, profile = RUNS[path.stem]
    return [
        compare(name, measured, find_design(design), profile_for(profile))
        for name, measured in load(path)
    ]


def test_five_kernels_are_on_file_with_every_case() -> None:
    assert {path.stem for path in FILES} == set(RUNS)
    for path in FILES:
        assert [name for name, _measured in load(path)] == [one.name for one in cases()]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_each_kernel_ran_what_its_symbols_show(path: Path) -> None:
    for _name, measured in load(path):
        assert (measured.version, measured.missing) == (path.stem, {})
        assert (measured.design, profile_for(measured.version).name) == RUNS[path.stem]


@pytest.mark.slow
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_count_is_equal_or_its_difference_explained(path: Path) -> None:
    found = comparisons(path)

    assert {
        one.name: {(one.step_name(c), c.name, c.kernel, c.model) for c in one.differences}
        for one in found
        if one.differences
    } == EXPLAINED[path.stem]
    assert sum(len(one.counts) for one in found) > 400


@pytest.mark.slow
@pytest.mark.parametrize(
    ("release", "design"),
    [("6.1.192", "huge_fault"), ("6.12.95", "remap_on_fault"), ("7.3.4", "insert_page_on_fault")],
)
def test_another_design_than_the_one_that_ran_differs_in_most_workloads(
    release: str, design: str
) -> None:
    measured = load(FOLDER / f"{release}.json")
    different = [
        name
        for name, one in measured
        if compare(name, one, find_design(design), profile_for(release)).differences
    ]

    assert len(different) > len(measured) / 2
