"""Do workloads on a real kernel, in a guest of the lab."""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from pfnlab.fidelity.cases import Case
from pfnlab.lab.errors import GuestError
from pfnlab.lab.kernels import KernelImage
from pfnlab.lab.measure import measure_all
from pfnlab.measured import Measured

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
    asked = [(case.workload, case.thp) for case in cases]
    done = 0
    try:
        for found in measure_all(asked, kernel, cache=cache, timeout=timeout, tell=tell):
            if isinstance(found, Measured):
                tell(f"done: {cases[done].name}")
                done += 1
                yield found
    except GuestError as error:
        if done == len(cases):
            raise
        raise GuestError(f"{cases[done].name}: {error}", error.console) from error
