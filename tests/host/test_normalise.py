"""What the probes of a kernel logged is reduced to what happened to mappings of the device."""

from pathlib import Path

import pytest

from pfnlab.host.events import Event, from_lines
from pfnlab.host.normalise import is_raw, model_events

TRACES = Path(__file__).parent.parent / "data" / "traces"


def events_of(name: str) -> tuple[Event, ...]:
    return from_lines((TRACES / name).read_text(encoding="utf-8").splitlines()).events


def log(kind: str, tid: int = 1, **args: str) -> Event:
    return Event(0.0, tid, kind, args)


def kinds(*raw: Event) -> list[str]:
    return [event.kind for event in model_events(raw)]


MMAP = log("mmap", vma="0xa", start="0x1000", end="0x3000", pgoff="0x10000002")
INSIDE = log("page_fault_user", address="0x1000", error_code="0x6")
CORE = log("handle_mm_fault", addr="0x1000", flags="0x254")
DONE = log("handle_mm_fault_ret", ret="0x100")
READ = {"write": "false"}
WANT, GOT, LET_GO = (
    log("mmap_lock_start_locking", **READ),
    log("mmap_lock_acquire_returned", success="true", **READ),
    log("mmap_lock_released", **READ),
)


@pytest.mark.parametrize("kernel", ["6.1.192", "6.12.95"])
def test_all_that_was_recorded_is_there_and_the_locks_of_the_fork(kernel: str) -> None:
    raw, known = events_of(f"{kernel}-one.events.jsonl"), events_of(f"{kernel}-one.model.jsonl")
    found = model_events(raw)
    more = [event for event in found if event not in known]

    assert [event for event in found if event in known] == list(known)
    assert [event.kind for event in more] == ["lock.want", "lock"] * 2 + ["unlock"] * 2
    assert all(event.args == {"lock": "mmap_lock", "mode": "w"} for event in more)
    assert is_raw(raw)
    assert not is_raw(found)


def test_a_mapping_has_its_offset_in_the_bar_without_the_region() -> None:
    assert model_events([MMAP])[0].args["offset"] == "0x2000"


def test_a_fault_outside_of_the_mappings_is_left_out() -> None:
    outside = log("page_fault_user", address="0x3000", error_code="0x6")

    assert kinds(MMAP, outside, WANT, GOT, CORE, DONE, LET_GO) == ["mmap"]


def test_a_fault_is_told_with_its_lock_and_ends_when_that_is_released() -> None:
    assert kinds(MMAP, INSIDE, WANT, GOT, CORE, DONE, LET_GO, WANT, GOT, LET_GO) == [
        "mmap", "pf", "lock.want", "lock", "fault.core", "fault.core.ret", "unlock",
    ]  # fmt: skip


def test_a_fault_under_the_lock_of_its_vma_ends_with_its_result() -> None:
    core = log("handle_mm_fault", addr="0x1000", flags="0x1254")

    assert kinds(MMAP, INSIDE, core, DONE, WANT, GOT, LET_GO) == [
        "mmap", "pf", "fault.core", "fault.core.ret",
    ]  # fmt: skip


def test_a_fault_that_is_tried_again_goes_on_under_mmap_lock() -> None:
    core = log("handle_mm_fault", addr="0x1000", flags="0x1254")
    retry = log("handle_mm_fault_ret", ret="0x400")
    found = model_events([MMAP, INSIDE, core, retry, WANT, GOT, CORE, DONE, LET_GO])

    assert [event.args.get("lock") for event in found if event.kind == "fault.core"] == [
        "vma", "mmap",
    ]  # fmt: skip
    assert found[-1].kind == "unlock"


def test_a_lock_that_was_not_got_is_told() -> None:
    raw = [log("mutex_trylock", lock="vma_lock"), log("mutex_trylock_ret", ret="0")]

    assert kinds(*raw) == ["lock.want", "lock.failed"]


def test_an_unmap_that_is_not_of_the_driver_is_left_out() -> None:
    unmap = log("unmap_mapping_range", holebegin="0x0", holelen="0x60000000000")

    assert kinds(unmap, log("unmap_mapping_range_ret")) == []
    assert kinds(log("zap"), unmap, log("unmap_mapping_range_ret"), log("zap_ret")) == [
        "zap.enter", "zap.range", "zap.range.ret", "zap.exit",
    ]  # fmt: skip


def test_only_writes_to_command_are_told() -> None:
    def write(off: str, val: str) -> Event:
        return log("cfg_write", off=off, val=val)

    assert kinds(write("6", "0x2"), log("cfg_write_ret")) == []
    found = model_events([write("4", "0x106"), log("cfg_write_ret"), write("4", "0x104")])
    assert [event.args.get("mem") for event in found] == [True, None, False]
