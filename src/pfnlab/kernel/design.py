"""The table that a design fills in: its hooks, under the kernel's names."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from pfnlab.engine.declared import must_take
from pfnlab.engine.errors import ModelError
from pfnlab.kernel.errno import Errno
from pfnlab.kernel.profile import LATEST
from pfnlab.kernel.vfio import VfioPciDevice
from pfnlab.kernel.vma import Vma, VmOperations

OPTIONAL_HOOKS = ("zap_and_trylock_memory_lock", "map_and_up_write_memory_lock")
# Of hooks that take others than (vdev).
ARGUMENTS = {
    "mmap": ("vdev", "vma"), "fault": ("vmf",), "huge_fault": ("vmf", "order"),
    "open": ("vma",), "close": ("vma",),
}  # fmt: skip


@dataclass(frozen=True)
class Design:
    """One way to map device memory.

    mmap(vdev, vma) -> errno: called by mmap() with mmap_lock held for write, before the
    VMA can be found.  zap_and_down_write_memory_lock(vdev): called before memory is
    switched off; returns with memory_lock held for write and no leaf left in any mm.
    zap_and_trylock_memory_lock(vdev) -> bool: the same for a hot reset, but gives up instead
    of waiting: True with memory_lock held, False with nothing held.  Optional.
    map_and_up_write_memory_lock(vdev): called with memory_lock held for write when memory
    decodes (again), instead of up_write(); for a design that maps then.  Optional.
    device: VfioPciDevice, or a subclass that adds fields.
    """

    name: str = ""
    mmap: Callable[[Any, Vma], Errno] | None = None
    vm_ops: VmOperations = field(default_factory=VmOperations)
    zap_and_down_write_memory_lock: Callable[[Any], None] | None = None
    zap_and_trylock_memory_lock: Callable[[Any], bool] | None = None
    map_and_up_write_memory_lock: Callable[[Any], None] | None = None
    device: type[VfioPciDevice] = VfioPciDevice
    kernels: str = ""  # releases that it lived in, as text
    kernel: str = LATEST  # the profile that it is checked on, unless another is asked for
    profiles: tuple[str, ...] = ()  # those of kernels that had it; none if it was never merged
    year: int = 9999  # of the proposal: the order in which designs are listed

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not re.fullmatch(r"[\w.+-]+", self.name):
            raise ModelError(f"a Design needs a name, which is one word, not {self.name!r}")
        for told, kind in (("kernel", str), ("kernels", str), ("year", int)):
            if not isinstance(getattr(self, told), kind):
                raise ModelError(
                    f"design {self.name}: {told} is {getattr(self, told)!r}, and no {kind.__name__}"
                )
        if not (
            isinstance(self.profiles, tuple)
            and all(isinstance(name, str) for name in self.profiles)
        ):
            raise ModelError(
                f"design {self.name}: profiles is {self.profiles!r}, and no tuple of names"
            )
        for hook, arguments in (
            ("mmap", "vdev, vma"),
            ("zap_and_down_write_memory_lock", "vdev"),
        ):
            if not callable(getattr(self, hook)):
                raise ModelError(
                    f"design {self.name} has no {hook}; give Design(...) {hook}=, a function of "
                    f"({arguments})"
                )
        for hook in OPTIONAL_HOOKS:
            if getattr(self, hook) is not None and not callable(getattr(self, hook)):
                raise ModelError(f"design {self.name}: {hook} must be a function of (vdev)")
        if not isinstance(self.vm_ops, VmOperations):
            raise ModelError(f"design {self.name}: vm_ops must be a VmOperations(...)")
        if self.vm_ops.huge_fault is not None and self.vm_ops.fault is None:
            raise ModelError(
                f"design {self.name} has huge_fault and no fault; a fault of one page needs fault"
            )
        if not (isinstance(self.device, type) and issubclass(self.device, VfioPciDevice)):
            raise ModelError(f"design {self.name}: device must be a subclass of VfioPciDevice")
        for hook, function in self.hooks.items():
            if callable(function):
                takes = ARGUMENTS.get(hook, ("vdev",))
                must_take(function, f"design {self.name}: {hook}", *takes)

    @property
    def own_hook(self) -> Any:
        """A function that was written for this design; zaps are often shared."""
        hooks = (self.map_and_up_write_memory_lock, self.vm_ops.huge_fault, self.vm_ops.fault)
        return next((hook for hook in hooks if hook is not None), self.mmap)

    @property
    def docstring(self) -> str:
        """The docstring of the file that it was written in."""
        return str(getattr(self.own_hook, "__globals__", {}).get("__doc__") or "")

    @property
    def hooks(self) -> dict[str, Any]:
        """All that it may fill in, by name; None where it does not."""
        names = ("zap_and_down_write_memory_lock", *OPTIONAL_HOOKS)
        return {
            "mmap": self.mmap,
            **vars(self.vm_ops),
            **{name: getattr(self, name) for name in names},
        }

    def files(self) -> set[str]:
        """The source files of its hooks, to tell them from the model's in a trace."""
        codes = [getattr(hook, "__code__", None) for hook in self.hooks.values()]
        return {code.co_filename for code in codes if code is not None}
