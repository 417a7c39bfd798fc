"""A workload on a device of QEMU's, in a guest with a given kernel: what pfnlab.host.job counts."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from pfnlab.lab.errors import GuestError, LabError
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.qemu import GIB, Device
from pfnlab.lab.run import TIMEOUT, Job, Tell, quiet, run
from pfnlab.measured import Measured, MeasuredStep, measured_from_data
from pfnlab.workload import PAGE, ThpPolicy, Workload, to_data

TESTDEV_BAR = 2
SMALLEST_BAR = PAGE
LARGEST_BAR = 256 * GIB
Asked = tuple[Workload, ThpPolicy]


def measuring_job(asked: Sequence[Asked]) -> Job:
    """For run(): lines are {"step": ...}, and {"measured": ...} at the end of each workload.

    There is a device for each size of BAR, with nothing behind it.  Raises LabError for a size
    that no BAR of a guest can have.
    """
    sizes = sorted({workload.bar.size for workload, _thp in asked}, reverse=True)
    for size in sizes:
        if size & (size - 1) or not SMALLEST_BAR <= size <= LARGEST_BAR:
            raise LabError(
                f"a BAR of a guest is a power of two from 4 KiB to 256 GiB, not {size:#x}"
            )
    jobs = [
        {
            "workload": to_data(workload),
            "device": sizes.index(workload.bar.size),
            "bar": TESTDEV_BAR,
            "thp": thp,
        }
        for workload, thp in asked
    ]
    devices = tuple(Device("pci-testdev", {"membar": size}) for size in sizes)
    return Job("pfnlab.host.job", {"jobs": jobs, "leave": True}, devices)


def memory_for(workload: Workload) -> int:
    """What a guest needs: an old kernel has a page table of 8 bytes for each page of the BAR.

    Twice that where a child has a copy.
    """
    return GIB + -(-workload.bar.size // 512 * 2 // GIB) * GIB if _is_large(workload) else GIB


def measure(
    workload: Workload,
    kernel: KernelImage,
    *,
    cache: Path,
    thp: ThpPolicy = "always",
    cpus: int = 1,
    use_snapshot: bool = True,
    timeout: float = TIMEOUT,
    tell: Tell = quiet,
) -> Iterator[MeasuredStep | Measured]:
    """Each step when it is over, and all of it at the end.  Raises what run() raises."""
    return measure_all(
        [(workload, thp)],
        kernel,
        cache=cache,
        cpus=cpus,
        use_snapshot=use_snapshot,
        timeout=timeout,
        tell=tell,
    )


def measure_all(
    asked: Sequence[Asked],
    kernel: KernelImage,
    *,
    cache: Path,
    cpus: int = 1,
    use_snapshot: bool = True,
    timeout: float = TIMEOUT,
    tell: Tell = quiet,
) -> Iterator[MeasuredStep | Measured]:
    """As measure(), of several workloads, one after the other in one guest."""
    lines = run(
        measuring_job(asked),
        kernel,
        cache=cache,
        cpus=cpus,
        memory=max(memory_for(workload) for workload, _thp in asked),
        use_snapshot=use_snapshot,
        timeout=timeout,
        tell=tell,
    )
    for line in lines:
        if "step" in line:
            yield MeasuredStep(**line["step"])
        elif "measured" in line:
            yield measured_from_data(line["measured"])
        elif "error" in line:
            raise GuestError(f"in the guest: {line['error']}")


def _is_large(workload: Workload) -> bool:
    return workload.bar.size > 64 * GIB
