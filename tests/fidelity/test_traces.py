"""What real kernels did is possible on the right design, and on no other."""

import pytest

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


WRONG = [
    # name, design, kernel, what the kernel did at last, what the model does instead
    ("6.1.192-one.model", "huge_fault", "v6.1.y", "fault.enter", "fault.enter"),
    ("6.1.192-one.model", "insert_page_on_fault", "v6.1.y", "lock.want", "lock.want"),
    ("6.1.192-one.model", "bulk_insert_on_fault", "v6.1.y", "insert", "insert pte"),
    ("6.1.192-one.model", "remap_on_mmap", "v6.1.y", "mmap.ret", "lock.want memory_lock r"),
    ("6.1.192-one.model", "remap_on_fault", "v6.1", "vma_open", "fork.copy"),
    ("6.1.192-one.model", "remap_on_fault", "v6.12", "lock.want", "fault.core vma"),
    ("6.1.192-one.events", "huge_fault", "v6.1.y", "fault.enter", "fault.enter"),
    ("6.1.192-race.model", "insert_vma_on_fault", "v6.1", "lock.want", "lock.want memory_lock r"),
    ("6.12.95-one.model", "remap_on_fault", "v6.12", "fault.enter", "fault.core.ret RETRY"),
    ("6.12.95-one.model", "insert_page_on_fault", "v6.12", "fault.enter", "fault.core.ret RETRY"),
    ("6.12.95-one.model", "huge_fault", "v6.1", "fault.core", "lock.want mmap_lock r"),
    ("6.12.95-one.events", "insert_vma_on_fault", "v6.12", "fault.enter", "fault.core.ret RETRY"),
    ("6.12.95-race.model", "huge_fault_unaligned", "v6.12", "lock.want", "fault.exit FALLBACK"),
    ("6.12.95-race.model", "insert_page_on_fault", "v6.12", "fault.enter", "fault.core.ret RETRY"),
    ("7.3.4-one.model", "remap_on_fault", "v7.3", "fault.enter", "fault.core.ret RETRY"),
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
