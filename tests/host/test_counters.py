"""Counting faults exactly, and files of counts."""

import ctypes
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from pfnlab.host import memory
from pfnlab.host.access import sweep
from pfnlab.host.child import Child, timed_sweep
from pfnlab.host.counters import Faults, memtypes, page_table_bytes
from pfnlab.host.errors import HostError
from pfnlab.host.touches import Run
from tests.host.trees import put

PAGE, PAGES = 4096, 300


def test_each_page_that_is_touched_first_is_one_fault() -> None:
    address = memory.mmap(0, PAGES * PAGE)
    memory.madvise(address, PAGES * PAGE, "nohugepage")
    run, faults = [Run(address, PAGES, PAGE)], Faults()
    try:
        assert timed_sweep(run, faults).faults == PAGES
        assert timed_sweep(run, faults).faults == 0
    finally:
        memory.munmap(address, PAGES * PAGE)


def test_a_child_counts_its_own_faults() -> None:
    address = memory.mmap(0, PAGES * PAGE)
    memory.madvise(address, PAGES * PAGE, "nohugepage")
    child = Child()
    try:
        assert child.sweep([Run(address, PAGES, PAGE)]).faults == PAGES
        assert child.sweep([Run(address, PAGES, PAGE), Run(0, 1, PAGE)]).signals.segv == 1
        assert timed_sweep([Run(address, PAGES, PAGE)], Faults()).faults == PAGES
    finally:
        child.close()
        memory.munmap(address, PAGES * PAGE)


def test_memory_of_page_tables_is_in_bytes(tmp_path: Path) -> None:
    put(tmp_path / "proc/7/status", "Name:\tx\nVmPTE:\t      44 kB\n")

    assert page_table_bytes(7, tmp_path) == 44 * 1024
    assert page_table_bytes(8, tmp_path) is None


def test_memtypes_that_overlap_the_bar_are_counted(tmp_path: Path) -> None:
    put(
        tmp_path / "sys/kernel/debug/x86/pat_memtype_list",
        "PAT memtype list:\n"
        "PAT: [mem 0x00000000fed00000-0x00000000fed01000] uncached-minus\n"
        "PAT: [mem 0x0000000100000000-0x0000000104000000] uncached-minus\n"
        "PAT: [mem 0x0000000102000000-0x0000000103000000] uncached-minus\n",
    )

    assert memtypes(0x100000000, 0x4000000, tmp_path) == 2
    assert memtypes(0x104000000, 0x4000000, tmp_path) == 0


def test_without_debugfs_there_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(HostError, match=r"cannot read .*pat_memtype_list: No such file"):
        memtypes(0, 1, tmp_path)


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="x86-64 machine code")
def test_what_python_faults_between_two_runs_is_not_counted() -> None:
    swept, other = memory.mmap(0, 8 * PAGE), memory.mmap(0, 8 * PAGE)

    def runs() -> Iterator[Run]:
        for page in range(8):
            ctypes.memset(other + page * PAGE, 1, 1)
            yield Run(swept + page * PAGE, 1, PAGE)

    faults = Faults()
    sweep(runs(), faults)
    first, faults.swept = faults.swept, 0
    sweep(runs(), faults)

    assert (first, faults.swept) == (8, 0)
