"""What real kernels did is possible on the right design, and on no other."""

import pytest

from pfnlab.catalogue import find_design
from pfnlab.cli.conform import kernel_of
from pfnlab.fidelity.conform import conform
from tests.fidelity.traces import RECORDED, follow, trace


@pytest.mark.slow
@pytest.mark.parametrize("name", RECORDED)
def test_a_trace_is_possible_on_the_design_that_it_was_recorded_on(name: str) -> None:
    found = follow(trace(name), *RECORDED[name])

    assert found.possible is True
    assert found.failed is None
    spoken = sum(found.matched.values()) + sum(found.ignored.values())
    assert spoken == len(trace(name).events)
    assert set(found.ignored) <= {"mark", "contention_begin", "contention_end"}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["6.1.192-one.new", "6.12.95-one.2m", "6.12.95-one.4k", "7.3.4-one.natural"]
)
def test_a_trace_says_itself_what_it_is_of(name: str) -> None:
    recorded = trace(name)
    design, kernel = find_design(recorded.run.design), kernel_of(recorded, None)
    assert kernel is not None

    assert conform(recorded, design, kernel).possible is True
    assert recorded.run.lost == 0


def test_mappings_that_are_not_aligned_are_refused_huge_leaves_one_by_one() -> None:
    orders = {
        name: [e.args["order"] for e in trace(name).events if e.kind == "fault.enter"][:5]
        for name in ("6.12.95-one.model", "6.12.95-one.2m", "6.12.95-one.4k")
    }

    assert orders["6.12.95-one.model"][0] == 18
    assert orders["6.12.95-one.2m"] == [18, 9, 18, 9, 9]
    assert orders["6.12.95-one.4k"] == [18, 9, 9, 0, 18]


RETRIED, REFUSED = "fault.core.ret ret=RETRY", "fault.exit ret=FALLBACK"
WRONG = [
    # name, design, kernel, what the kernel did at last, what the model does instead
    ("6.1.192-one.model", "huge_fault", "v6.1.192", "fault.enter", "fault.enter"),
    ("6.1.192-one.model", "insert_page_on_fault", "v6.1.192", "lock.want", "lock.want"),
    ("6.1.192-one.model", "bulk_insert_on_fault", "v6.1.192", "insert", "insert pte"),
    ("6.1.192-one.model", "remap_on_mmap", "v6.1.192", "mmap.ret", "lock.want memory_lock r"),
    ("6.1.192-one.model", "remap_on_fault", "v6.1", "vma_open", "fork.copy"),
    ("6.1.192-one.model", "remap_on_fault", "v6.12", "lock.want", "fault.core vma"),
    ("6.1.192-one.events", "huge_fault", "v6.1.192", "fault.enter", "fault.enter"),
    ("6.1.192-race.model", "insert_vma_on_fault", "v6.1", "lock.want", "lock.want memory_lock r"),
    ("6.12.95-one.model", "remap_on_fault", "v6.12", "fault.enter", RETRIED),
    (
        "6.12.95-one.model",
        "insert_page_on_fault",
        "v6.12",
        "fault.enter",
        RETRIED,
    ),
    ("6.12.95-one.model", "huge_fault", "v6.1", "fault.core", "lock.want mmap_lock r"),
    (
        "6.12.95-one.events",
        "insert_vma_on_fault",
        "v6.12",
        "fault.enter",
        RETRIED,
    ),
    ("6.12.95-race.model", "huge_fault_unaligned", "v6.12", "lock.want", REFUSED),
    (
        "6.12.95-race.model",
        "insert_page_on_fault",
        "v6.12",
        "fault.enter",
        RETRIED,
    ),
    ("7.3.4-one.model", "remap_on_fault", "v7.3", "fault.enter", RETRIED),
    ("7.3.4-one.model", "huge_fault", "v6.12", "lock.want", ""),
]


@pytest.mark.parametrize(
    ("name", "design", "kernel", "kind", "instead"),
    [pytest.param(*each, marks=[pytest.mark.slow] * ("race" in each[0])) for each in WRONG],
)
def test_a_trace_is_impossible_on_another_design(
    name: str, design: str, kernel: str, kind: str, instead: str
) -> None:
    found = follow(trace(name), design, kernel)

    assert found.possible is False
    assert found.failed is not None
    assert trace(name).events[found.failed].kind == kind
    assert found.instead[0].what.startswith(instead)
    assert bool(found.instead[0].what) == bool(instead)


def test_every_trace_is_impossible_on_some_design() -> None:
    assert {name for name, *_rest in WRONG} == set(RECORDED)
