"""The JSON of a guest is that of Python."""

import json
from typing import Any

import pytest

from pfnlab.lab.inside import light_json

DATA: list[Any] = [
    {"step": {"name": "first", "events": {}, "state": {"leaves pte": 1 << 20}, "seconds": 0.25}},
    [None, True, False, -1, 1e300, 'a "quoted" ü\n'],
    {1: "a number", None: "nothing"},
    "text",
    [],
]


@pytest.mark.parametrize("data", DATA)
def test_it_writes_and_reads_as_python_does(data: Any) -> None:
    text = json.dumps(data)

    assert light_json.dumps(data) == text
    assert light_json.loads(f" {text}\n") == json.loads(text)


@pytest.mark.parametrize("text", ["", "{", '{"a": }', "[1] 2", '"\n"', "nothing"])
def test_what_is_no_json_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        light_json.loads(text)


def test_what_json_cannot_hold_is_an_error() -> None:
    with pytest.raises(TypeError, match="Object of type set is not JSON serializable"):
        light_json.dumps({"a": {1}})
