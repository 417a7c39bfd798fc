"""Real VFIO on the machine that this runs on; needs nothing but the standard library.

from pfnlab.host import VfioDevice
"""

from pfnlab.host.device import Region, VfioDevice
from pfnlab.host.errors import HostError

__all__ = ["HostError", "Region", "VfioDevice"]
