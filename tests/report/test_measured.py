"""One table of what a real kernel did; numbers as a guest with v6.12 gave them."""

from collections.abc import Callable
from dataclasses import replace

from pfnlab.measured import Measured, MeasuredStep
from pfnlab.report.measured import measured_text
from pfnlab.workload import Bar, Fork, Memory, Mremap, Step, Touch, Window, Workload

Same = Callable[[str, str], None]
MiB = 1 << 20


def state(
    leaves: int, tables: int, kib: int, child: tuple[int, int] | None = None
) -> dict[str, int]:
    found = {"leaves pmd": leaves, "tables pmd": tables, "VmPTE": kib << 10, "memtypes": 1}
    if child is not None:
        found |= {"child leaves pmd": child[0], "child tables pmd": child[1]}
        found["child VmPTE"] = kib << 10
    return found


FORKED = Measured(
    Workload(
        Bar(64 * MiB, 1 << 32),
        (
            Window(64 * MiB, 0, 0x7F4980000000),
            Window(32 * MiB, 32 * MiB, 0x7F48C2000000, "hugepage"),
        ),
        (
            Step("touch", (Touch(),)),
            Step("fork", (Fork(),)),
            Step("move", (Mremap(),)),
            Step("off", (Memory(False), Touch(1))),
            Step("touch", (Memory(True), Touch(1, in_child=True))),
        ),
    ),
    (
        MeasuredStep("map", {}, state(0, 0, 128), 0.00246),
        MeasuredStep(
            "touch",
            {"faults": 48, "calls pud": 2, "fallbacks pud": 2, "calls pmd": 48},
            state(48, 2, 136),
            0.00743,
        ),
        MeasuredStep("fork", {}, state(48, 2, 136, (48, 2)), 0.0227),
        MeasuredStep("move", {}, state(48, 2, 136, (48, 2)), 0.00377),
        MeasuredStep("off", {"signals": 8192, "calls pmd": 8192}, state(0, 2, 136, (0, 2)), 0.0318),
        MeasuredStep("touch", {"faults": 16, "calls pmd": 16}, state(0, 2, 136, (16, 2)), 0.00897),
    ),
    "6.12.95+deb12-amd64",
    "huge_fault",
    "1b36:0005 0000:00:03.0 BAR 2",
    "QEMU Standard PC (Q35 + ICH9, 2009), QEMU TCG CPU version 2.5+",
    True,
    "2026-11-28T04:12:18+00:00",
    "always",
)


def test_a_run_is_a_row_for_each_step(same_as_snapshot: Same) -> None:
    same_as_snapshot("measured_forked", measured_text(FORKED))


def test_what_was_not_counted_is_a_dash_and_a_reason(same_as_snapshot: Same) -> None:
    steps = (
        MeasuredStep("map", {}, {"VmPTE": 28 << 10}, 0.0011),
        MeasuredStep("dma", {"map_dma -EFAULT": 1}, {"VmPTE": 32 << 10}, 0.0005),
    )
    missing = {
        "calls": "tracefs is not mounted, or needs root",
        "leaves": "cannot open /proc/kcore: Permission denied",
        "memtypes": "cannot read /sys/kernel/debug/x86/pat_memtype_list: Permission denied",
    }
    poor = replace(
        FORKED, steps=steps, missing=missing, design="", thp="", machine="", virtual=False
    )
    same_as_snapshot("measured_poorly", measured_text(poor))
