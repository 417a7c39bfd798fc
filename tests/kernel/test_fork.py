"""fork(): what a child gets, and in which order."""

from dataclasses import replace

import pytest

from pfnlab import Scenario, explore
from pfnlab.designs import huge_fault
from pfnlab.kernel import (
    PAGE_SIZE,
    PMD_ORDER,
    PUD_ORDER,
    VM_DONTCOPY,
    Errno,
    Lab,
    Leaf,
    VfioPciDevice,
    Vma,
    VmOperations,
    i_mmap_lock_read,
    i_mmap_unlock_read,
    vm_flags_set,
)
from pfnlab.kernel.pagetable import walk

FORK = ["v6.1", "v6.9"]


def forked(kernel: str, size: int = PAGE_SIZE << PMD_ORDER, flags: int = 0) -> dict[str, object]:
    """Touch a mapping, fork, and say what the child has; the hooks tell when they are called."""
    seen: dict[str, object] = {}

    def mmap(vdev: VfioPciDevice, vma: Vma) -> Errno:
        error = huge_fault.mmap(vdev, vma)
        vm_flags_set(vma, flags)
        return error

    def mmap_open(vma: Vma) -> None:
        seen["linked at open"] = vma in vma.vm_file.mapping.i_mmap
        seen["leaf at open"] = walk(vma.vm_mm, vma.vm_start).leaf

    design = replace(
        huge_fault.design,
        name="tells",
        mmap=mmap,
        vm_ops=VmOperations(
            fault=huge_fault.page_fault, huge_fault=huge_fault.huge_fault, open=mmap_open
        ),
    )

    def build(lab: Lab) -> None:
        mapping = lab.mmap(lab.vfio_device(size))

        @lab.task
        def parent() -> None:
            lab.touch(mapping)
            child = lab.fork()
            seen["parent"] = walk(mapping.mm, mapping.address).leaf
            seen["child"] = walk(child, mapping.address).leaf
            with child.mmap_lock.read():
                seen["vmas"] = len(child.vmas)

    result = explore(
        Scenario("forks", "A process forks.", build), design, kernel=kernel,
        rules=["every_task_ends"],
    )  # fmt: skip
    assert not result.findings
    return seen


@pytest.mark.parametrize("kernel", FORK)
@pytest.mark.parametrize("order", [0, PMD_ORDER, PUD_ORDER])
def test_leaves_of_every_level_are_copied(kernel: str, order: int) -> None:
    seen = forked(kernel, PAGE_SIZE << order)

    assert isinstance(seen["child"], Leaf)
    assert seen["child"] == seen["parent"]
    assert seen["child"].order == order


def test_open_comes_before_the_copy_since_v6_9() -> None:
    before, after = forked("v6.1"), forked("v6.9")

    assert isinstance(before["leaf at open"], Leaf)
    assert before["linked at open"]
    assert after["leaf at open"] is None
    assert not after["linked at open"]


@pytest.mark.parametrize("kernel", FORK)
def test_a_vma_with_dontcopy_is_left_out(kernel: str) -> None:
    seen = forked(kernel, flags=VM_DONTCOPY)

    assert seen["vmas"] == 0
    assert seen["child"] is None


def test_the_child_of_a_mapping_is_found_by_an_rmap_walk_behind_its_parent() -> None:
    orders: list[list[str]] = []

    def build(lab: Lab) -> None:
        vdev = lab.vfio_device(2 * PAGE_SIZE)
        first = lab.mmap(vdev, size=PAGE_SIZE)
        lab.mmap(vdev, size=PAGE_SIZE, mm=lab.process())

        @lab.task
        def parent() -> None:
            child = lab.fork(first.mm)
            i_mmap_lock_read(vdev.mapping)
            orders.append([str(vma.vm_mm) for vma in vdev.mapping.i_mmap])
            i_mmap_unlock_read(vdev.mapping)
            assert child.name == "child"

    explore(Scenario("forks", "A process forks.", build), huge_fault.design)

    assert orders[-1] == ["mm", "child", "mm2"]
