"""The job that traces a scenario, without a kernel that can be traced."""

import io
import json
import os
from collections.abc import Iterator
from typing import Any, cast

import pytest

from pfnlab.host import memory
from pfnlab.host.device import VfioDevice
from pfnlab.host.memory import Mapping
from pfnlab.host.trace import Tracer
from pfnlab.host.trace_job import SCENARIOS, main

SIZE = 8 << 12


class Noted:
    """Stands for the tracer, the device and its config space: notes what is asked of them."""

    def __init__(self) -> None:
        self.config = self
        self.pid = os.getpid()
        self.done: list[str] = []

    def mark(self, text: str) -> None:
        self.done.append(text)

    def set_memory(self, on: bool) -> None:
        self.done.append(f"memory={on}")


@pytest.fixture
def mapping() -> Iterator[Mapping]:
    found = Mapping(memory.mmap(0, SIZE), SIZE)
    yield found
    found.unmap()


def play(scenario: str, mapping: Mapping, **order: Any) -> list[str]:
    noted = Noted()
    tracer, device = cast(Tracer, noted), cast(VfioDevice, noted)
    SCENARIOS[scenario](tracer, device, mapping, order)
    return noted.done


def test_a_program_says_what_it_touches_before_it_does(mapping: Mapping) -> None:
    first, middle = hex(mapping.address), hex(mapping.address + SIZE // 2)

    assert play("one", mapping) == [
        f"touch {first}", f"touch {middle}", "memory off", "memory=False", f"touch {first}",
        "memory on", "memory=True", f"touch {first}", "fork",
    ]  # fmt: skip


def test_a_race_leaves_memory_on_and_no_thread_behind(mapping: Mapping) -> None:
    assert play("race", mapping, flips=2) == ["memory=False", "memory=True"] * 2


def test_what_cannot_be_traced_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    order = {"scenario": "two", "devices": ["0000:00:00.0"]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(order) + "\n"))

    assert main() == 2
    assert capsys.readouterr().err == "no scenario 'two'; there are one, race\n"
