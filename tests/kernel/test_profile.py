"""Profiles are features; releases are data."""

import pytest

from pfnlab import ModelError, explore
from pfnlab.catalogue import all_designs
from pfnlab.designs import huge_fault, remap_on_fault
from pfnlab.kernel.profile import KERNELS, LATEST, find_kernel
from pfnlab.scenarios.faults import first_fault, two_faults


def test_every_named_kernel_has_its_own_name() -> None:
    assert all(name == kernel.name for name, kernel in KERNELS.items())
    assert LATEST in KERNELS


def test_a_design_lives_in_a_kernel_that_there_is() -> None:
    for design in all_designs().values():
        assert find_kernel(design.kernel).name == design.kernel


def test_an_unknown_kernel_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(ModelError, match=r"'v2\.4' .* there are v5\.8, "):
        explore(first_fault, huge_fault.design, kernel="v2.4")


def test_the_assertion_on_vm_flags_came_with_v6_3() -> None:
    before = explore(first_fault, remap_on_fault.design, kernel="v6.1")
    after = explore(first_fault, remap_on_fault.design, kernel="v6.9")

    assert before.verdict == "ok"
    assert after.violation is not None
    assert after.violation.rule == "mmap_assert_write_locked"


def test_without_the_assertion_two_faults_still_race_for_vm_flags() -> None:
    result = explore(two_faults, remap_on_fault.design, kernel="v6.1")

    assert result.violation is not None
    assert result.violation.rule == "no_data_race"
    assert "vm_flags" in result.violation.evidence[0]
