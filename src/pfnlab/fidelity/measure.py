"""Do workloads on a real kernel, in a guest of the lab."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pfnlab.fidelity.cases import Case
from pfnlab.lab.errors import GuestError
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.measure import TESTDEV_BAR
from pfnlab.lab.qemu import Device
from pfnlab.lab.run import Job, run
from pfnlab.measured import Measured, measured_from_data
from pfnlab.workload import to_data

TIMEOUT = 900.0  # seconds; all cases take one or two minutes on an idle machine


def measure(
    cases: Sequence[Case],
    kernel: KernelImage,
    *,
    cache: Path,
    timeout: float = TIMEOUT,
    tell: Callable[[str], None],
) -> Iterator[Measured]:
    """What each case did, in their order, all in one guest that has a device for each size.

    Raises LabError, and GuestError for a guest that ends before all is done.
    """
    sizes = sorted({case.bar_size for case in cases}, reverse=True)
    jobs = [
        {
            "workload": to_data(case.workload),
            "device": sizes.index(case.bar_size),
            "bar": TESTDEV_BAR,
            "thp": case.thp,
        }
        for case in cases
    ]
    devices = tuple(Device("pci-testdev", {"membar": size}) for size in sizes)
    job = Job("pfnlab.host.job", {"jobs": jobs}, devices)
    left = iter(cases)
    for line in run(job, kernel, cache=cache, timeout=timeout, tell=tell):
        if "error" in line:
            raise GuestError(f"{next(left).name}: {line['error']}", "")
        if "measured" in line:
            tell(f"done: {next(left).name}")
            yield measured_from_data(line["measured"])
