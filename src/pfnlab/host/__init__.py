"""Real VFIO on the machine that this runs on; needs nothing but the standard library.

from pfnlab.host import VfioDevice
"""

from typing import TYPE_CHECKING, Any

from pfnlab.host.errors import HostError

if TYPE_CHECKING:
    from pfnlab.host.device import Region, VfioDevice

__all__ = ["HostError", "Region", "VfioDevice"]


def __getattr__(name: str) -> Any:
    """The device is imported when it is asked for: all commands need the error alone."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from pfnlab.host import device

    return getattr(device, name)
