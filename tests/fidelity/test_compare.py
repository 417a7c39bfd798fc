"""A workload on a kernel beside the same workload on the model."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from pfnlab.catalogue import find_design
from pfnlab.fidelity.cases import Case, case, cases
from pfnlab.fidelity.compare import Comparison, compare
from pfnlab.kernel.geometry import MiB
from pfnlab.kernel.profile import find_kernel, profile_for
from pfnlab.measured import Measured, MeasuredStep
from pfnlab.report.compare import comparisons_data, comparisons_text, kernels_text
from tests.fidelity.measurements import measured_as_the_model_says

SMALL = case("small", "first,off,first,on,first", 4 * MiB, place="2m")


def compared(measured: Measured, name: str = "small") -> Comparison:
    return compare(name, measured, find_design("huge_fault"), find_kernel("v6.12"))


def with_event(measured: Measured, step: int, **events: int) -> Measured:
    changed = MeasuredStep(
        measured.steps[step].name,
        {**measured.steps[step].events, **events},
        measured.steps[step].state,
    )
    steps = (*measured.steps[:step], changed, *measured.steps[step + 1 :])
    return replace(measured, steps=steps)


@pytest.mark.slow
@pytest.mark.parametrize("one", cases(), ids=lambda one: one.name)
def test_a_kernel_that_does_as_the_model_says_is_equal_in_every_count(one: Case) -> None:
    found = compared(measured_as_the_model_says(one))

    assert found.differences == ()
    assert len(found.counts) >= 3


def test_what_differs_is_named_with_both_numbers() -> None:
    measured = with_event(measured_as_the_model_says(SMALL), 3, faults=2, signals=0)
    found = compared(measured)

    assert [(found.step_name(count), count.name, count.kernel, count.model)
            for count in found.differences] == [
        ("first (2)", "faults", 2, 0), ("first (2)", "signals", 0, 1),
    ]  # fmt: skip


def test_what_the_kernel_did_not_count_is_not_compared() -> None:
    measured = measured_as_the_model_says(SMALL)

    assert not any(count.name.startswith("calls") for count in compared(measured).counts)
    whole = compared(replace(measured, missing={}))
    assert ("calls pmd", 0, 1) in [
        (count.name, count.kernel, count.model) for count in whole.differences
    ]


def test_an_ioctl_that_fails_on_one_side_only_is_a_difference() -> None:
    one = case("dma", "off,map_dma", 4 * MiB)
    measured = measured_as_the_model_says(one)
    assert compared(measured).differences == ()

    broken = MeasuredStep("map_dma", {"map_dma -EINVAL": 1}, measured.steps[2].state)
    found = compared(replace(measured, steps=(*measured.steps[:2], broken)))
    assert {"map_dma -EFAULT", "map_dma -EINVAL"} <= {count.name for count in found.differences}


@pytest.mark.parametrize(
    ("release", "profile"),
    [
        ("6.1.0-56-amd64", "v6.1"),
        ("6.1.192", "v6.1.192"),
        ("6.1.200", "v6.1.192"),
        ("6.2", "v6.1"),
        ("6.12.117", "v6.12.117"),
        ("6.12.95", "v6.12"),
        ("6.12.95+deb12-amd64", "v6.12"),
        ("6.18.15+deb13-amd64", "v6.16"),
        ("7.3.4", "v7.3"),
        ("5.4.0", "v5.8"),
        ("6.9", "v6.9"),
    ],
)
def test_a_release_has_the_newest_profile_that_is_not_newer(release: str, profile: str) -> None:
    assert profile_for(release).name == profile


def test_every_case_has_a_name_of_its_own_and_ends_with_a_step() -> None:
    names = [one.name for one in cases()]

    assert len(set(names)) == len(names)
    assert all(one.workload.steps for one in cases())


def test_the_table_is_that_of_the_snapshot(same_as_snapshot: Callable[[str, str], None]) -> None:
    first = compared(measured_as_the_model_says(SMALL))
    other = compared(with_event(measured_as_the_model_says(SMALL), 3, faults=2), "another")

    same_as_snapshot("compare", comparisons_text([first, other]))
    same_as_snapshot("compare_kernels", kernels_text([[first, other], [first]]))


def test_the_data_has_every_count() -> None:
    found = compared(with_event(measured_as_the_model_says(SMALL), 1, faults=7))
    data = comparisons_data("0.1.0", [found])

    assert data["profile"] == "v6.12"
    (workload,) = data["workloads"]
    assert {"step": "first", "name": "faults", "kernel": 7, "model": 1, "equal": False} in workload[
        "counts"
    ]
