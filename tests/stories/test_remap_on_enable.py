"""remap_on_enable: what changes while the loop holds no lock, and what a repair has to ask.

The sketch of Jason Gunthorpe, 2024-05-22.  Between the walk and the remap memory may go off
again, somebody else may fill the VMA, and the mm may lose its last user.
"""

from dataclasses import replace

import pytest

from pfnlab import Design, Scenario, check, explore, scenario
from pfnlab.designs import remap_on_enable, remap_on_enable_corrected
from pfnlab.engine.shared import Shared
from pfnlab.kernel import *
from pfnlab.rules import RULES
from tests.stories.story import told

RULE = "no_leaf_while_memory_disabled"


def map_and_up_write_memory_lock(vdev: VfioPciDevice) -> None:
    up_write(vdev.memory_lock)
    flags = memalloc_nofs_save()
    remap_on_enable.remap_all(vdev)
    memalloc_nofs_restore(flags)


# The sketch allocates tables under i_mmap_rwsem, which has a test at the end; here the rest.
design = replace(remap_on_enable.design, map_and_up_write_memory_lock=map_and_up_write_memory_lock)


@scenario
def enable_vs_disable(lab: Lab) -> None:
    """Memory is turned on by one thread and off by another."""
    vdev = lab.vfio_device()
    lab.mmap(vdev)
    lab.write_command(vdev, memory=False)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=True)

    @lab.task
    def other() -> None:
        lab.write_command(vdev, memory=False)

    lab.always(*RULES)


@scenario
def enable_vs_enable(lab: Lab) -> None:
    """Two threads turn memory on."""
    vdev = lab.vfio_device()
    lab.mmap(vdev)
    lab.write_command(vdev, memory=False)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=True)

    @lab.task
    def other() -> None:
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


@scenario
def enable_vs_exit(lab: Lab) -> None:
    """Memory is turned on while a process that maps the BAR ends."""
    vdev = lab.vfio_device()
    mm = lab.process()
    lab.mmap(vdev, mm=mm)
    lab.write_command(vdev, memory=False)

    @lab.task
    def leaver() -> None:
        lab.exit(mm)

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


@scenario
def enable_vs_fork(lab: Lab) -> None:
    """Memory is turned on while a process that maps the BAR forks."""
    vdev = lab.vfio_device()
    lab.mmap(vdev)
    lab.write_command(vdev, memory=False)

    @lab.task
    def parent() -> None:
        lab.fork()

    @lab.task
    def config() -> None:
        lab.write_command(vdev, memory=True)

    lab.always(*RULES)


def test_memory_goes_off_before_the_remap_and_the_leaves_stay() -> None:
    schedule = "Vma.vm_flags!config:16,other:9,config:5,other:1"  # vm_flags races with the zap
    told(enable_vs_disable, design, RULE, schedule, alone=True)


def test_two_loops_fill_the_same_vma() -> None:
    told(enable_vs_enable, design, "remap_fills_empty_ptes", "config:10,other:19,config:7")


def test_a_fork_copies_what_the_loop_fills_in_the_child() -> None:
    schedule = "config:20,parent:12,config:7,parent:3,config:7"
    told(enable_vs_fork, design, "remap_fills_empty_ptes", schedule)


def test_mmgrab_keeps_the_struct_but_not_the_page_tables() -> None:
    told(enable_vs_exit, design, "no_leaf_outlives_its_mm", "leaver:4,config:20,leaver:14")


@pytest.mark.parametrize(
    "race", [enable_vs_disable, enable_vs_enable, enable_vs_fork, enable_vs_exit],
    ids=lambda race: race.name,
)  # fmt: skip
def test_the_corrected_one_holds(race: Scenario) -> None:
    check(race, remap_on_enable_corrected.design)


class Flag(Shared):
    up = word(False)


def faults_after_an_enable(design: Design) -> set[vm_fault_t]:
    """What a touch of a new mapping gives once mmap() and an enable have both returned."""
    seen: set[vm_fault_t] = set()

    @scenario
    def enable_vs_mmap(lab: Lab) -> None:
        """A process maps the BAR while memory is turned on."""
        vdev = lab.vfio_device()
        lab.write_command(vdev, memory=False)
        mm = lab.first_process()
        enabled = Flag()

        @lab.task
        def vmm() -> None:
            mapping = lab.mmap(vdev, mm=mm)
            if enabled.up:
                seen.add(lab.touch(mapping))

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=True)
            enabled.up = True

    assert explore(enable_vs_mmap, design).verdict == "ok"
    return seen


def test_a_mapping_that_is_not_linked_yet_is_missed_for_good() -> None:
    assert VM_FAULT_SIGBUS in faults_after_an_enable(design)


def test_the_corrected_one_misses_none() -> None:
    assert faults_after_an_enable(remap_on_enable_corrected.design) == {vm_fault_t(0)}


def references_after_an_enable(design: Design) -> set[int]:
    seen: set[int] = set()

    @scenario
    def enable_of_two_mappings(lab: Lab) -> None:
        """Memory is turned on, and one process has mapped the BAR twice."""
        vdev = lab.vfio_device()
        mapping = lab.mmap(vdev)
        lab.mmap(vdev)
        lab.write_command(vdev, memory=False)

        @lab.task
        def config() -> None:
            lab.write_command(vdev, memory=True)
            seen.add(mapping.mm.mm_count)

    assert explore(enable_of_two_mappings, design).verdict == "ok"
    return seen


def test_a_reference_is_taken_for_each_vma_and_one_given_back() -> None:
    assert references_after_an_enable(design) == {2}
    assert references_after_an_enable(remap_on_enable_corrected.design) == {1}


def test_it_allocates_tables_under_the_rmap_lock() -> None:
    told(enable_vs_exit, remap_on_enable.design, "no_fs_reclaim_under_i_mmap", "config:14")
