"""What differs between kernels, as features; releases are plain data.

The model asks for a feature and never for a version.  A profile says what mainline did
at a release; stable branches may differ, as fixes are carried back.
"""

from dataclasses import dataclass

from pfnlab.engine.errors import ModelError
from pfnlab.engine.execution import current_execution


@dataclass(frozen=True)
class Kernel:
    """One kernel.

    vm_flags_asserted  the setters of vm_flags assert mmap_lock: bc292ab00f6c ("mm:
                       introduce vma->vm_flags wrapper functions"), v6.3
    open_before_copy   fork calls ->open and links the file before it copies page tables:
                       35e351780fa9 ("fork: defer linking file vma until vma is fully
                       initialized"), v6.9
    """

    name: str
    vm_flags_asserted: bool
    open_before_copy: bool


KERNELS = {
    kernel.name: kernel
    for kernel in (
        Kernel("v5.8", vm_flags_asserted=False, open_before_copy=False),
        Kernel("v6.1", vm_flags_asserted=False, open_before_copy=False),
        Kernel("v6.4", vm_flags_asserted=True, open_before_copy=False),
        Kernel("v6.9", vm_flags_asserted=True, open_before_copy=True),
        Kernel("v6.10", vm_flags_asserted=True, open_before_copy=True),
        Kernel("v6.12", vm_flags_asserted=True, open_before_copy=True),
        Kernel("v6.16", vm_flags_asserted=True, open_before_copy=True),
        Kernel("v7.3", vm_flags_asserted=True, open_before_copy=True),
    )
}
LATEST = "v7.3"


def find_kernel(name: str) -> Kernel:
    """A profile by name; raises ModelError."""
    if name not in KERNELS:
        raise ModelError(f"no kernel is called {name!r}; there are {', '.join(KERNELS)}")
    return KERNELS[name]


def running_kernel() -> Kernel:
    """The profile of the scenario that runs now."""
    kernel = getattr(current_execution().program, "kernel", None)
    assert isinstance(kernel, Kernel), "kernel code runs in a Lab"
    return kernel
