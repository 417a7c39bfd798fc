"""What is written to tracefs, and what its histograms mean."""

from collections import Counter
from pathlib import Path

import pytest

from pfnlab.host import handler_calls
from pfnlab.host.errors import HostError
from pfnlab.host.handler_calls import (
    FAULT,
    HUGE,
    PAGE,
    Call,
    count_calls,
    counting,
    parse_hist,
    probe_text,
    trigger_text,
)

HIST = """\
# event histogram
#
# trigger info: hist:keys=common_pid,order,ret:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ common_pid:        131, order:         18, ret:       2048 } hitcount:          1
{ common_pid:        131, order:          9, ret:        256 } hitcount:         31
{ common_pid:        777, order:          9, ret:        256 } hitcount:          5

Totals:
    Hits: 37
    Entries: 3
    Dropped: 0
"""


def test_a_probe_is_one_line() -> None:
    assert probe_text("pfnlab_1", HUGE) == (
        "r:pfnlab_1/vfio_pci_mmap_huge_fault vfio_pci_mmap_huge_fault "
        "order=$arg2:u32 ret=$retval:u32\n"
    )
    assert probe_text("g", FAULT) == "r:g/vfio_pci_mmap_fault vfio_pci_mmap_fault ret=$retval:u32\n"
    assert trigger_text(HUGE) == "hist:keys=common_pid,order,ret"


def test_a_histogram_is_counted_by_thread_order_and_result() -> None:
    assert parse_hist(HIST) == {
        Call(131, 18, 0x800): 1, Call(131, 9, 0x100): 31, Call(777, 9, 0x100): 5,
    }  # fmt: skip
    assert parse_hist("") == {}


def test_a_histogram_that_was_too_small_is_an_error() -> None:
    with pytest.raises(HostError, match="too small"):
        parse_hist(HIST.replace("Dropped: 0", "Dropped: 3"))


def test_calls_of_other_processes_do_not_count() -> None:
    assert count_calls({HUGE: parse_hist(HIST)}, {131}) == {
        "calls pud": 1, "fallbacks pud": 1, "calls pmd": 31,
    }  # fmt: skip


def test_the_handler_of_pages_may_be_inlined_or_not() -> None:
    huge = Counter({Call(1, 9, 0x100): 2, Call(1, 0, 0x100): 7})
    page = Counter({Call(1, 0, 0x100): 7})

    assert count_calls({HUGE: huge, PAGE: page}, {1})["calls pte"] == 7
    assert count_calls({HUGE: Counter(), PAGE: page}, {1})["calls pte"] == 7


def test_without_tracefs_there_is_a_reason(tmp_path: Path) -> None:
    with pytest.raises(HostError, match="tracefs is not mounted"), counting(tmp_path):
        pass


def test_probes_are_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tracefs = tmp_path / "sys/kernel/tracing"
    (tracefs / "events").mkdir(parents=True)
    written: list[tuple[str, str]] = []

    def append(path: Path, text: str) -> None:
        if PAGE in text or HUGE in text:
            raise HostError("no such symbol")
        written.append((path.name, text.strip()))

    monkeypatch.setattr(handler_calls, "append", append)
    monkeypatch.setattr("os.getpid", lambda: 5)
    with pytest.raises(RuntimeError), counting(tmp_path) as calls:
        assert calls.functions == (FAULT,)
        raise RuntimeError

    assert written == [
        ("kprobe_events", "r:pfnlab_5/vfio_pci_mmap_fault vfio_pci_mmap_fault ret=$retval:u32"),
        ("trigger", "hist:keys=common_pid,ret"),
        ("trigger", "!hist:keys=common_pid,ret"),
        ("kprobe_events", "-:pfnlab_5/vfio_pci_mmap_fault"),
    ]
