"""A trace with one planted change is impossible: at the event, and for the reason, that it has."""

import pytest

from tests.fidelity.changes import CHANGES, OLD_RACE, Change
from tests.fidelity.traces import Changed


def marks(name: str) -> list[pytest.MarkDecorator]:
    return [pytest.mark.slow] if "race" in name else []


@pytest.mark.parametrize(
    ("name", "change"),
    [
        pytest.param(name, change, marks=marks(name), id=f"{name}-{change.__name__}")
        for name, change in CHANGES
    ],
)
def test_a_change_is_found_where_it_was_planted(name: str, change: Change) -> None:
    trace = Changed(name)
    parting = change(trace)
    found = trace.follow()

    assert found.possible is False
    assert found.failed == parting.place
    assert {each.waits for each in found.instead} == {parting.waits}
    assert any(each.what.startswith(parting.instead) for each in found.instead)
    assert any(bool(each.what) == bool(parting.instead) for each in found.instead)


def test_there_are_many_changes_and_some_to_every_trace() -> None:
    assert len({change for _name, change in CHANGES}) >= 20
    assert OLD_RACE in {name for name, _change in CHANGES}
