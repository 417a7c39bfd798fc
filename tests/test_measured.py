"""What is measured travels as JSON."""

import json

from pfnlab.measured import Measured, MeasuredStep, measured_from_data, measured_to_data
from pfnlab.workload import (
    ACTIONS,
    Bar,
    Memory,
    Step,
    Touch,
    Window,
    Workload,
    from_data,
    to_data,
)

WORKLOAD = Workload(
    Bar(1 << 26, 0x4000000000),
    (Window(1 << 26, 0, 0x7F0000000000, place="2m"),),
    (
        Step("first", (Touch(end=4096),)),
        Step("3*off+on", (Memory(False), Memory(True)), 3),
        Step("all", tuple(kind() for kind in ACTIONS.values() if kind is not Memory)),
    ),
)


def test_a_workload_comes_back_from_json_as_it_was() -> None:
    assert from_data(json.loads(json.dumps(to_data(WORKLOAD)))) == WORKLOAD


def test_what_was_measured_comes_back_from_json_as_it_was() -> None:
    steps = (
        MeasuredStep("map", {}, {"VmPTE": 40960}, 0.25),
        MeasuredStep("first", {"faults": 1}, {"leaves pmd": 1}, 0.5),
    )
    measured = Measured(
        WORKLOAD, steps, "6.12.95", "huge_fault", "0000:01:00.0", "QEMU", True, "2026-11-28",
        "always", "6.12.95", {"memtypes": "debugfs is not mounted"},
    )  # fmt: skip

    assert measured_from_data(json.loads(json.dumps(measured_to_data(measured)))) == measured
    assert measured.step("first").events["faults"] == 1
