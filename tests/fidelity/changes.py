"""Traces that no kernel with the design can have written: each is a real one with one change.

Each change returns the place of the event that is impossible, and what the model does instead.
"""

from collections.abc import Callable
from typing import NamedTuple

from tests.fidelity.traces import Changed

OLD, NEW, LATEST = "6.1.192-one.model", "6.12.95-one.model", "7.3.4-one.model"
OLD_RACE, NEW_RACE = "6.1.192-race.model", "6.12.95-race.model"


class Parting(NamedTuple):
    """Where trace and model part: what the model does instead, and if it has to wait for it."""

    place: int
    instead: str
    waits: bool = False


Change = Callable[[Changed], Parting]
CHANGES: list[tuple[str, Change]] = []


def change(*names: str) -> Callable[[Change], Change]:
    def register(function: Change) -> Change:
        CHANGES.extend((name, function) for name in names)
        return function

    return register


# ---- locks


@change(OLD)
def the_two_locks_of_a_fault_are_swapped(trace: Changed) -> Parting:
    first = trace.find("lock.want", after=trace.find("fault.enter"), lock="vma_lock")
    for place in (first, first + 1):
        trace.swap(place, place + 2)
    return Parting(first, "lock.want vma_lock w")


@change(OLD)
def two_unlocks_are_swapped(trace: Changed) -> Parting:
    first = trace.find("unlock", after=trace.find("insert"), lock="memory_lock")
    trace.swap(first, first + 1)
    return Parting(first, "unlock memory_lock r")


@change(OLD, NEW, LATEST)
def a_fault_keeps_memory_lock(trace: Changed) -> Parting:
    place = trace.find("unlock", after=trace.find("insert"), lock="memory_lock")
    trace.drop(place)
    return Parting(place, "unlock memory_lock r")


@change(OLD)
def a_fault_keeps_mmap_lock(trace: Changed) -> Parting:
    place = trace.find("unlock", lock="mmap_lock")
    trace.drop(place)
    return Parting(trace.find("mark", after=place), "unlock mmap_lock r")


@change(NEW, LATEST)
def a_fault_takes_memory_lock_for_write(trace: Changed) -> Parting:
    place = trace.find("lock.want", lock="memory_lock", mode="r")
    for each in (place, place + 1):
        trace.set(each, mode="w")
    return Parting(place, "lock.want memory_lock r")


@change(NEW)
def a_disable_takes_memory_lock_for_read(trace: Changed) -> Parting:
    place = trace.find("lock.want", after=trace.find("zap.enter"))
    trace.set(place, mode="r")
    return Parting(place, "lock.want memory_lock w")


@change(NEW)
def a_fault_runs_under_mmap_lock(trace: Changed) -> Parting:
    place = trace.find("fault.core", lock="vma")
    trace.set(place, lock="mmap")
    return Parting(place, "fault.core vma")


@change(NEW_RACE)
def a_reader_has_memory_lock_before_the_writer_lets_go(trace: Changed) -> Parting:
    reader = trace.find("lock", after=trace.find("contention_end"), mode="r")
    writer = max(p for p in range(reader) if trace.events[p].args.get("mode") == "w")
    assert trace.events[writer].kind == "unlock"
    trace.move(reader, writer)
    return Parting(writer, "down_read vdev.memory_lock", waits=True)


@change(OLD_RACE)
def two_threads_have_vma_lock(trace: Changed) -> Parting:
    waiting = trace.find("contention_begin")
    other = trace.find("lock", after=waiting, lock="vma_lock")
    while trace.events[other].tid != trace.events[waiting].tid:
        other = trace.find("lock", after=other + 1, lock="vma_lock")
    trace.move(other, waiting + 1)
    return Parting(waiting + 1, "mutex_lock vdev.vma_lock", waits=True)


# ---- leaves


@change(OLD, NEW, LATEST)
def a_leaf_is_inserted_without_memory_lock(trace: Changed) -> Parting:
    place = trace.find("lock.want", lock="memory_lock", mode="r")
    trace.drop(place, 2)
    return Parting(place, "lock.want memory_lock r")


@change(NEW, LATEST)
def a_leaf_is_inserted_while_memory_is_off(trace: Changed) -> Parting:
    sigbus = trace.find("fault.exit", ret="SIGBUS")
    insert = trace.events[trace.find("insert")]
    trace.insert(sigbus - 1, "insert", **insert.args)
    return Parting(sigbus - 1, "unlock memory_lock r")


@change(OLD)
def a_vma_is_mapped_while_memory_is_off(trace: Changed) -> Parting:
    sigbus = trace.find("fault.exit", ret="SIGBUS")
    insert = trace.events[trace.find("insert")]
    trace.insert(sigbus - 2, "insert", **insert.args)
    return Parting(sigbus - 2, "unlock memory_lock r")


@change(NEW, LATEST)
def a_pmd_is_inserted_where_a_pud_fits(trace: Changed) -> Parting:
    place = trace.find("insert")
    trace.set(place, level="pmd", size="0x200000")
    return Parting(place, "insert pud")


@change(NEW)
def a_leaf_maps_the_next_page(trace: Changed) -> Parting:
    place = trace.find("insert", 1)
    trace.set(place, pfn="0x180001")
    return Parting(place, "insert pud 0x7f2040000000 pfn=0x180000")


@change(NEW)
def a_leaf_maps_another_part_of_the_bar(trace: Changed) -> Parting:
    place = trace.find("insert", 1)
    trace.set(place, pfn="0x100000")
    return Parting(place, "insert pud 0x7f2040000000 pfn=0x180000")


@change(OLD)
def half_of_a_vma_is_mapped(trace: Changed) -> Parting:
    place = trace.find("insert")
    trace.set(place, size="0x80000000")
    return Parting(place, "insert range")


@change(NEW)
def an_insert_fails(trace: Changed) -> Parting:
    place = trace.find("insert")
    trace.set(place, ret="0x2")
    return Parting(place, "insert pud")


# ---- faults


@change(NEW)
def a_fault_ends_in_sigbus_while_memory_is_on(trace: Changed) -> Parting:
    place = trace.find("fault.exit")
    trace.drop(place - 2)  # the insert
    trace.set(place - 1, ret="SIGBUS")
    trace.set(place, ret="SIGBUS")
    trace.insert(place + 1, "sigbus")
    return Parting(place - 2, "insert pud")


@change(OLD, NEW, LATEST)
def a_handler_says_nopage_while_memory_is_off(trace: Changed) -> Parting:
    place = trace.find("fault.exit", ret="SIGBUS")
    trace.set(place, ret="NOPAGE")
    return Parting(place, "fault.exit ret=SIGBUS")


@change(NEW)
def the_core_makes_something_else_of_a_result(trace: Changed) -> Parting:
    place = trace.find("fault.core.ret", ret="SIGBUS")
    trace.set(place, ret="RETRY")
    return Parting(place, "fault.core.ret ret=SIGBUS")


@change(NEW)
def a_fault_in_sigbus_sends_no_signal(trace: Changed) -> Parting:
    place = trace.find("sigbus")
    trace.drop(place)
    return Parting(trace.find("command", after=place), "sigbus")


@change(NEW)
def a_good_fault_sends_a_signal(trace: Changed) -> Parting:
    place = trace.find("fault.core.ret", ret="NOPAGE") + 1
    trace.insert(place, "sigbus")
    return Parting(place, "mark touch mid")


@change(NEW)
def a_page_that_is_mapped_faults(trace: Changed) -> Parting:
    place = trace.find("pf", 1)
    trace.set(place, addr="0x7f1fc0001000")
    return Parting(place, "access 0x7f1fc0001000 leaf=pud")


@change(OLD, NEW)
def a_page_that_is_not_mapped_is_reached(trace: Changed) -> Parting:
    first = trace.find("pf")
    trace.drop(first, trace.find("mark", after=first) - first)
    return Parting(trace.find("mark", after=first), "pf 0x7f")


@change(NEW)
def the_handler_is_asked_for_a_pmd_first(trace: Changed) -> Parting:
    place = trace.find("fault.enter")
    trace.set(place, order=9)
    return Parting(place, "fault.enter 0x7f1fc0000000 order=18")


@change(NEW)
def the_handler_is_told_another_address(trace: Changed) -> Parting:
    place = trace.find("fault.enter")
    trace.set(place, addr="0x7f2040000000")
    return Parting(place, "fault.enter 0x7f1fc0000000 order=18")


# ---- zaps


@change(NEW, LATEST)
def memory_goes_off_without_a_zap(trace: Changed) -> Parting:
    place = trace.find("zap.range")
    trace.drop(place, 2)
    return Parting(place, "zap.range")


@change(OLD)
def memory_goes_off_without_a_zap_of_the_vma(trace: Changed) -> Parting:
    place = trace.find("zap.vma")
    trace.drop(place, 2)
    return Parting(place, "zap.vma 0x7f3c00000000")


@change(NEW)
def the_zap_comes_before_the_lock(trace: Changed) -> Parting:
    lock = trace.find("lock.want", after=trace.find("zap.enter"))
    for place in (lock, lock + 1):
        trace.swap(place, place + 2)
    return Parting(lock, "lock.want memory_lock w")


@change(NEW)
def memory_lock_is_released_before_the_zap(trace: Changed) -> Parting:
    zap = trace.find("zap.range")
    trace.move(trace.find("unlock", after=zap, mode="w"), zap)
    return Parting(zap, "zap.range")


@change(NEW)
def only_one_bar_is_zapped(trace: Changed) -> Parting:
    place = trace.find("zap.range")
    trace.set(place, len="0x10000000000")
    return Parting(place, "zap.range")


@change(NEW)
def memory_is_switched_on_with_a_zap(trace: Changed) -> Parting:
    place = trace.find("command", mem=False)
    trace.set(place, mem=True)
    return Parting(place + 1, "lock.want memory_lock w")


@change(NEW_RACE)
def a_disable_in_a_race_zaps_nothing(trace: Changed) -> Parting:
    place = trace.find("zap.range", 7)
    end = trace.find("zap.range.ret", after=place)
    trace.drop(end)
    trace.drop(place)
    return Parting(trace.find("zap.exit", after=place), "zap.range")


@change(OLD_RACE)
def a_zap_in_a_race_returns_before_it_has_the_lock(trace: Changed) -> Parting:
    zap = trace.find("zap.vma", 3)
    tid = trace.events[zap].tid
    lock = max(
        p for p in range(zap) if trace.events[p].kind == "lock" and trace.events[p].tid == tid
    )
    trace.move(zap, lock)
    return Parting(lock, "lock vma_lock w")


# ---- fork and the end


@change(NEW)
def the_child_faults_on_what_was_copied(trace: Changed) -> Parting:
    mark = trace.find("mark", s="child touch")
    trace.insert(mark, "pf", addr="0x7f1fc0000000")
    trace.swap(mark, mark + 1)
    return Parting(mark + 1, "access 0x7f1fc0000000 leaf=pud")


@change(OLD)
def fork_copies_before_it_opens(trace: Changed) -> Parting:
    place = trace.find("vma_open")
    trace.move(trace.find("fork.copy"), place)
    return Parting(place, "vma_open")


@change(OLD)
def a_vma_is_opened_without_a_zap(trace: Changed) -> Parting:
    place = trace.find("zap.vma", after=trace.find("vma_open"))
    trace.drop(place, 2)
    return Parting(place, "zap.vma")


@change(OLD)
def a_vma_is_closed_without_its_lock(trace: Changed) -> Parting:
    place = trace.find("vma_close", 1) + 1
    trace.drop(place, 3)
    return Parting(trace.find("mark", after=place), "lock.want vma_lock w")


@change(OLD)
def a_process_ends_without_the_lock_of_its_vma(trace: Changed) -> Parting:
    """Nothing that it does after that is traced; but its VMA keeps the device open."""
    place = trace.find("vma_close") + 1
    trace.drop(place, 3)
    return Parting(trace.find("lock.want", lock="memory_lock", after=place), "")


@change(LATEST)
def the_device_is_closed_without_its_lock(trace: Changed) -> Parting:
    place = len(trace.events) - 1
    trace.insert(place, "lock.want", lock="memory_lock", mode="w")
    return Parting(place, "")
