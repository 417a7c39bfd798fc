"""The file of a trace."""

import json

import pytest

from pfnlab.host.events import Event, Run, Trace, from_lines, to_lines

EVENT = '{"t": 10.845195, "tid": 160, "ev": "pf", "args": {"addr": "0x7f1fc0000000"}}'
RUN = Run(
    "6.12.95-amd64", "6.12.95", "huge_fault", "one", "0000:01:00.0", 4 << 30, 1 << 32,
    missing={"fault": "no"},
)  # fmt: skip


def test_a_trace_that_was_written_is_read_as_it_was() -> None:
    events = (Event(1.5, 7, "pf", {"addr": "0x1000", "write": False}), Event(2.0, 8, "zap.enter"))
    read = from_lines(to_lines(Trace(RUN, events)))

    assert read == Trace(RUN, events, lines=(2, 3))


def test_a_trace_may_be_without_a_first_line_about_the_run() -> None:
    read = from_lines([EVENT, "", EVENT])

    assert read.run == Run()
    assert read.events[0] == Event(10.845195, 160, "pf", {"addr": "0x7f1fc0000000"})
    assert read.lines == (1, 3)


def test_the_first_line_may_say_more_than_this_version_knows() -> None:
    head = json.dumps({"trace": 1, "kernel": "9.0", "weather": "fair"})

    assert from_lines([head, EVENT]).run == Run(kernel="9.0")


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([], "it has no event"),
        (['{"trace": 1, "kernel": "6.12"}'], "it has no event"),
        (['{"trace": 2}', EVENT], "line 1 is no event of a trace"),
        ([EVENT, "[]"], "line 2 is no event of a trace"),
        ([EVENT, "nonsense"], "line 2 is no event of a trace"),
        (['{"t": 1, "tid": 2}'], "line 1 is no event of a trace"),
        (['{"t": "soon", "tid": 2, "ev": "pf"}'], "line 1 is no event of a trace"),
        (['{"t": 1, "tid": 2, "ev": 3}'], "line 1 is no event of a trace"),
        (['{"t": 1, "tid": 2, "ev": "pf", "args": []}'], "line 1 is no event of a trace"),
    ],
)
def test_anything_else_is_refused_with_its_line(lines: list[str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_lines(lines)
