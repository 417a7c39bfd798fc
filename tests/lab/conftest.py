"""Real kernels; a guest needs a whole CPU, so that one test has guests at a time."""

import fcntl
from collections.abc import Callable, Iterator

import pytest

from pfnlab.lab.files import default_cache
from pfnlab.lab.kernels import KernelImage, find_kernel

FindKernel = Callable[[str], KernelImage]


@pytest.fixture
def real_kernel() -> Iterator[FindKernel]:
    """A kernel of a series.  Without one the test fails: `make lab` fetches it."""

    def find(series: str) -> KernelImage:
        found = find_kernel(series, default_cache())
        assert found is not None, f"no kernel {series} here: run make lab"
        return found

    lock = default_cache() / "tests.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield find
