"""What real kernels do in a guest, counted exactly."""

import shutil
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from pfnlab.cost.words import make_workload
from pfnlab.lab.errors import GuestError
from pfnlab.lab.files import default_cache
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.measure import measure
from pfnlab.lab.qemu import Device
from pfnlab.lab.run import Job, run
from pfnlab.measured import Measured
from pfnlab.workload import Bar, Window, Workload
from tests.lab.conftest import FindKernel

pytestmark = [pytest.mark.lab, pytest.mark.slow]

MIB = 1 << 20
WORDS = "first,touch,off,every-2M,on,touch"
SERIES = ("6.1", "6.12")
# Faults, SIGBUS and leaves of 2 MiB and of 4 KiB after each step, for a BAR of 64 MiB.
EXPECTED = {
    "6.1": [
        ("map", 0, 0, 0, 0),
        ("first", 1, 0, 0, 16384),
        ("touch", 0, 0, 0, 16384),
        ("off", 0, 0, 0, 0),
        ("every-2M", 0, 32, 0, 0),
        ("on", 0, 0, 0, 0),
        ("touch", 1, 0, 0, 16384),
    ],
    "6.12": [
        ("map", 0, 0, 0, 0),
        ("first", 1, 0, 1, 0),
        ("touch", 31, 0, 32, 0),
        ("off", 0, 0, 0, 0),
        ("every-2M", 0, 32, 0, 0),
        ("on", 0, 0, 0, 0),
        ("touch", 32, 0, 32, 0),
    ],
}


def workload() -> Workload:
    return make_workload(Bar(64 * MIB), Window(64 * MIB), WORDS)


def measured(kernel: KernelImage, cache: Path, **how: Any) -> Measured:
    *steps, whole = measure(workload(), kernel, cache=cache, **how)
    assert isinstance(whole, Measured)
    assert tuple(steps) == whole.steps
    return whole


def counts(found: Measured) -> list[tuple[str, int, int, int, int]]:
    def of(data: Mapping[str, int], name: str) -> int:
        return data.get(name, 0)

    return [
        (
            step.name,
            of(step.events, "faults"),
            of(step.events, "signals"),
            of(step.state, "leaves pmd"),
            of(step.state, "leaves pte"),
        )
        for step in found.steps
    ]


@pytest.mark.parametrize("series", SERIES)
def test_a_kernel_counts_what_is_known_of_it(real_kernel: FindKernel, series: str) -> None:
    found = measured(real_kernel(series), default_cache(), use_snapshot=False)

    assert counts(found) == EXPECTED[series]
    assert found.kernel.startswith(f"{series}.")
    assert found.virtual


@pytest.mark.parametrize("series", SERIES)
def test_two_runs_at_once_from_a_snapshot_count_the_same(
    real_kernel: FindKernel, series: str
) -> None:
    kernel = real_kernel(series)
    with ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(measured, kernel, default_cache()) for _ in range(2)]
        found = [each.result() for each in runs]

    assert [counts(each) for each in found] == 2 * [EXPECTED[series]]


def test_a_kernel_that_panics_keeps_what_the_job_had_said(real_kernel: FindKernel) -> None:
    source = (
        "print(1)\n"
        "import time; time.sleep(0.5)\n"
        "open('/proc/sysrq-trigger', 'w').write('c')\n"
        "time.sleep(60)\n"
    )
    lines = []
    with pytest.raises(GuestError, match="the guest crashed: Kernel panic") as caught:
        for line in run(Job("job", source=source), real_kernel("6.12"), cache=default_cache()):
            lines.append(line)

    assert lines == [1]
    assert "sysrq: Trigger a crash" in caught.value.console


def test_the_largest_bar_and_several_devices_have_addresses(real_kernel: FindKernel) -> None:
    source = (
        "import json\n"
        "for device in json.loads(input())['devices']:\n"
        "    lines = open(f'/sys/bus/pci/devices/{device}/resource').read().splitlines()\n"
        "    first, last, flags = (int(word, 16) for word in lines[2].split())\n"
        "    print(json.dumps(last - first + 1 if first else 0))\n"
    )
    devices = (
        Device("pci-testdev", {"membar": 256 << 30}),
        Device("pci-testdev", {"membar": 16 << 30}),
        Device("ivshmem-plain", memory=64 * MIB),
    )

    found = list(run(Job("job", {}, devices, source), real_kernel("6.12"), cache=default_cache()))

    assert found == [256 << 30, 16 << 30, 64 * MIB]


def test_a_damaged_snapshot_is_removed_and_the_guest_booted(
    real_kernel: FindKernel, tmp_path: Path
) -> None:
    job, kernel = Job("job", source="print(7)"), real_kernel("6.12")
    told: list[str] = []
    try:
        assert list(run(job, kernel, cache=tmp_path)) == [7]
        (state,) = tmp_path.glob("snapshots/*/state")
        state.write_bytes(state.read_bytes()[:1000])

        assert list(run(job, kernel, cache=tmp_path, tell=told.append)) == [7]
        assert not state.exists()
        assert any(text.startswith("the snapshot is damaged") for text in told)
    finally:
        shutil.rmtree(tmp_path)
