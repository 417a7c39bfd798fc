"""What is said of a trace."""

from pfnlab.fidelity.conform import Conformity
from pfnlab.host.events import Event, Run, Trace
from pfnlab.report.conform import conformity_data, conformity_text, event_text


def test_a_search_that_was_given_up_is_no_verdict() -> None:
    events = (Event(1.0, 7, "pf", {"addr": "0x1000"}), Event(2.0, 7, "sigbus"))
    found = Conformity(
        "huge_fault", "v6.12", Trace(Run(), events), None, (), {"pf": 1}, {}, failed=1
    )

    text = " ".join(conformity_text("one.jsonl", found).split())
    assert text.startswith("one.jsonl on huge_fault, v6.12: incomplete. 1 event can be followed;")
    assert conformity_data("one.jsonl", found)["verdict"] == "incomplete"


def test_an_event_has_names_for_what_could_be_two_things() -> None:
    event = Event(1.5, 7, "fault.enter", {"addr": "0x1000", "order": 9, "handler": "huge_fault"})

    assert event_text(event) == "1.500000  7  fault.enter     0x1000 order=9 handler=huge_fault"
    assert event_text(Event(1.5, 7, "command", {"mem": False})).endswith("mem=false")
