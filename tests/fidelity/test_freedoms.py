"""What a trace leaves open: a lock is got before that is logged, and released after."""

import pytest

from pfnlab.catalogue import find_design
from pfnlab.engine.errors import ModelError
from pfnlab.fidelity.conform import conform
from pfnlab.host.events import Event, Run, Trace
from pfnlab.kernel.profile import find_kernel
from tests.fidelity.traces import Changed, follow

START, END = "0x7f0000000000", "0x7f0000400000"


def at(tid: int, kind: str, **args: object) -> Event:
    return Event(0.0, tid, kind, args)


def lock(tid: int, kind: str, name: str, mode: str) -> Event:
    return at(tid, kind, lock=name, mode=mode)


def begin() -> list[Event]:
    """Two threads, and a mapping of 4 MiB at its natural place."""
    return [
        at(1, "mmap", start=START, end=END), at(1, "mmap.ret", ret=0), at(1, "fork", child=2),
    ]  # fmt: skip


def fault(tid: int, result: str = "NOPAGE") -> list[Event]:
    """A fault of insert_page_on_fault on v6.4, up to memory_lock, and from there on."""
    return [
        at(tid, "pf", addr=START), lock(tid, "lock.want", "mmap_lock", "r"),
        lock(tid, "lock", "mmap_lock", "r"), at(tid, "fault.core", lock="mmap"),
        at(tid, "fault.enter", addr=START, order=0, handler="fault"),
        lock(tid, "lock.want", "memory_lock", "r"), lock(tid, "lock", "memory_lock", "r"),
        lock(tid, "unlock", "memory_lock", "r"), at(tid, "fault.exit", ret=result),
        at(tid, "fault.core.ret", ret=result), lock(tid, "unlock", "mmap_lock", "r"),
        *([at(tid, "sigbus")] if result == "SIGBUS" else []),
    ]  # fmt: skip


def disable(tid: int) -> list[Event]:
    return [
        at(tid, "command", mem=False), at(tid, "zap.enter"),
        lock(tid, "lock.want", "memory_lock", "w"), lock(tid, "lock", "memory_lock", "w"),
        at(tid, "zap.range"), at(tid, "zap.range.ret"), at(tid, "zap.exit"),
        lock(tid, "unlock", "memory_lock", "w"), at(tid, "command.ret"),
    ]  # fmt: skip


def is_possible(events: list[Event], most_states: int = 100_000) -> bool | None:
    design, kernel = find_design("insert_page_on_fault"), find_kernel("v6.4")
    run = Run(bar_address=1 << 32)
    return conform(Trace(run, tuple(events)), design, kernel, most_states).possible


def test_a_lock_that_is_about_to_be_released_may_be_had_by_another() -> None:
    off, sigbus = disable(1), fault(2, "SIGBUS")
    unlock = 7

    assert is_possible([*begin(), *off[: unlock + 1], *sigbus, *off[unlock + 1 :]])
    assert not is_possible([*begin(), *off[:unlock], *sigbus, *off[unlock:]])


def test_a_lock_that_is_wanted_may_be_had_already() -> None:
    """The SIGBUS shows that memory was off before the reader logged its lock."""
    off, sigbus = disable(1), fault(2, "SIGBUS")

    assert is_possible([*begin(), *sigbus[:6], *off, *sigbus[6:]])
    # Once it is logged there is no way back: the fault ends before the disable.
    assert not is_possible([*begin(), *sigbus[:7], *off, *sigbus[7:]])


def test_a_fault_in_the_middle_of_a_zap_may_come_before_or_behind_it() -> None:
    mapped = fault(2)
    mapped.insert(7, at(2, "insert", level="pte", addr=START, pfn="0x100000", ret="0x100"))
    off, sigbus = disable(1), fault(2, "SIGBUS")
    zap = 5

    assert is_possible([*begin(), *mapped, *off[:zap], sigbus[0], *off[zap:], *sigbus[1:]])
    assert not is_possible([*begin(), *mapped, *off[: zap - 1], sigbus[0], *off[zap - 1 :]])


def test_a_try_for_mmap_lock_may_fail_while_somebody_writes() -> None:
    """The kernel's fault tries before it waits."""
    write = [lock(1, kind, "mmap_lock", "w") for kind in ("lock.want", "lock", "unlock")]
    tried = fault(2, "SIGBUS")
    tried[2:2] = [lock(2, "lock.failed", "mmap_lock", "r"), lock(2, "lock.want", "mmap_lock", "r")]
    off = [*begin(), *disable(1)]

    assert is_possible([*off, *write[:2], *tried[:4], write[2], *tried[4:]])
    assert not is_possible([*off, *tried])


def test_a_search_that_is_bounded_says_neither() -> None:
    off, sigbus = disable(1), fault(2, "SIGBUS")

    assert is_possible([*begin(), *off[:7], *sigbus, *off[7:]], most_states=3) is None


@pytest.mark.slow
def test_a_trace_may_end_anywhere() -> None:
    events = [*begin(), *disable(1), *fault(2, "SIGBUS")]

    for length in range(1, len(events) + 1):
        assert is_possible(events[:length]), length


def test_pages_keep_their_places_however_large_the_bar_is() -> None:
    changed = Changed("6.12.95-one.model")
    place = changed.find("mmap")
    start = int(str(changed.events[place].args["start"]), 16)
    changed.set(place, end=hex(start + (64 << 30)))

    assert changed.follow().possible is True


@pytest.mark.parametrize(
    ("events", "message"),
    [
        ([at(1, "zap.enter")], "the trace maps nothing"),
        ([at(1, "mmap", start="0x2000", end="0x1000")], "a mapping of no size"),
        ([at(1, "mmap", start="0x1000")], "has no 'end'"),
        ([at(1, "mmap", start="here", end="0x1000")], "'here' in a trace is no number"),
        ([*begin(), at(3, "zap.enter")], "2 threads of the trace were made by none"),
    ],
)
def test_a_trace_that_makes_no_sense_is_refused(events: list[Event], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        follow(Trace(Run(), tuple(events)), "huge_fault", "v6.12")
