"""Which faults may ask for a large leaf."""

from dataclasses import replace

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import (
    PAGE_SIZE,
    VM_HUGEPAGE,
    VM_NOHUGEPAGE,
    Errno,
    Lab,
    VfioPciDevice,
    Vma,
    vm_flags_set,
)
from pfnlab.workload import ThpPolicy
from tests.kernel.alone import leaves_seen


def leaf(kernel: str, policy: ThpPolicy = "always", advice: int = 0, disabled: bool = False) -> str:
    """The level of the leaf that a touch of a BAR of one PMD gets."""
    seen: list[str] = []

    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        error = huge_fault.mmap(vdev, vma)
        if advice:
            vm_flags_set(vma, advice)
        return error

    def build(lab: Lab) -> None:
        lab.thp, lab.thp_disabled = policy, disabled
        mapping = lab.mmap(lab.vfio_device(4 * PAGE_SIZE))

        @lab.task
        def vcpu() -> None:
            lab.touch(mapping)
            seen.extend(leaf.order.entry for leaf in leaves_seen(mapping.mm))

    design = replace(huge_fault.design, name="advised", mmap=mmap)
    result = explore(Scenario("touch", "A vCPU touches a BAR.", build), design, kernel=kernel)
    assert result.verdict == "ok"
    return seen[-1]


@pytest.mark.parametrize(
    ("policy", "advice", "level"),
    [
        ("always", 0, "pmd"),
        ("always", VM_NOHUGEPAGE, "pte"),
        ("madvise", 0, "pte"),
        ("madvise", VM_HUGEPAGE, "pmd"),
        ("never", 0, "pte"),
        ("never", VM_HUGEPAGE, "pte"),
    ],
)
def test_on_v6_12_the_policy_decides(policy: ThpPolicy, advice: int, level: str) -> None:
    assert leaf("v6.12", policy, advice) == level


@pytest.mark.parametrize("policy", ["always", "madvise", "never"])
def test_on_v7_3_only_nohugepage_counts(policy: ThpPolicy) -> None:
    assert leaf("v7.3", policy) == "pmd"
    assert leaf("v7.3", policy, VM_NOHUGEPAGE) == "pte"


@pytest.mark.parametrize("kernel", ["v6.12", "v7.3"])
def test_a_process_without_huge_pages_gets_none(kernel: str) -> None:
    assert leaf(kernel, disabled=True) == "pte"
